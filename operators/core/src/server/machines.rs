//! Servers whose system may be that of a Machine of metalman: two programs would switch it.

use crate::{
    bmc_host::BmcHost,
    identity::is_same_uri,
    machine_identity::{Address, BmcAddress, addresses, bmc_address, system_uri},
};
use metal_api::{Machine, MachineRedfish, Server};

/// Ports of HTTP and HTTPS.
const USUAL: [u16; 2] = [80, 443];

/// The host of the BMC of a Machine, if it has one.
pub fn bmc_of(machine: &Machine) -> Option<BmcHost> {
    Some(at(machine)?.host)
}

/// Whether a server with its BMC at this host and port may have the system of a Machine. Once that has
/// read its UUID, the UUID alone decides. An ID that is not set, and a URI that is not known, may be
/// those of any system of the BMC.
pub fn may_be_at_bmc_of(machine: &Machine, server: &Server, host: &BmcHost, port: u16) -> bool {
    let Some(place) = at(machine).filter(|place| place.host == host.clone().canonical()) else {
        return false;
    };
    let knows_uuid = addresses(machine).iter().any(|it| matches!(it, Address::Uuid(_)));
    if knows_uuid && server.spec.effective_uuid().is_some() {
        return false;
    }
    // A BMC may be at several ports of its address; two unusual ones may lead to two BMCs.
    let is_usual = |port| USUAL.contains(&port);
    let is_one_bmc = place.port == port || is_usual(place.port) || is_usual(port);
    let own = server.spec.known_system_uri();
    let its = redfish(machine).filter(|it| it.device_id.is_some());
    let its = its.and_then(|it| system_uri(it).ok().flatten());
    is_one_bmc
        && own.zip(its).is_none_or(|(own, its)| {
            is_same_uri(&own.to_ascii_lowercase(), &its.to_ascii_lowercase())
        })
}

fn at(machine: &Machine) -> Option<BmcAddress> {
    bmc_address(redfish(machine)?, true).ok()
}

fn redfish(machine: &Machine) -> Option<&MachineRedfish> {
    machine.spec.pxe.as_ref()?.redfish.as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_api::{
        MachinePxe, MachineRedfishStatus, MachineSpec, MachineStatus, MachineSystemStatus,
        ServerSpec,
    };

    const UUID: &str = "38947555-7742-3448-3784-823347823834";

    fn machine(url: &str, id: Option<&str>) -> Machine {
        let (url, device_id) = (url.to_owned(), id.map(str::to_owned));
        let redfish = Some(MachineRedfish { url, device_id, ..MachineRedfish::default() });
        let pxe = Some(MachinePxe { redfish, ..MachinePxe::default() });
        Machine::new("node-01", MachineSpec { pxe, ..MachineSpec::default() })
    }

    fn server(uri: Option<&str>) -> Server {
        let system_uuid = Some(UUID.to_owned());
        let system_uri = uri.map(str::to_owned);
        Server::new("a", ServerSpec { system_uuid, system_uri, ..ServerSpec::default() })
    }

    #[test]
    fn a_server_may_have_the_system_of_a_machine_at_its_bmc_until_both_uuids_are_known() {
        let (one, two) = ("/redfish/v1/Systems/1", "/redfish/v1/Systems/2/");
        for (url, id, uri, is_there) in [
            ("https://10.77.0.5", Some("1"), Some(one), true),
            ("https://10.77.0.5/", None, Some(one), true),
            ("https://10.77.0.5", None, Some(two), true),
            ("https://10.77.0.5", Some("1"), Some(two), false),
            ("https://10.77.0.5", Some("2"), Some(two), true),
            ("https://10.77.0.5", Some("1"), None, true),
            ("http://10.77.0.5", Some("1"), Some(one), true),
            ("https://10.77.0.5:8443", Some("1"), Some(one), true),
            ("https://10.77.0.6", Some("1"), Some(one), false),
            ("https://bmc.example.com", Some("1"), Some(one), false),
            ("nonsense", Some("1"), Some(one), false),
        ] {
            let host = "10.77.0.5".parse().unwrap();
            let (machine, server) = (machine(url, id), server(uri));
            let found = may_be_at_bmc_of(&machine, &server, &host, 443);
            assert_eq!(found, is_there, "{url} {id:?} {uri:?}");
        }
        let (behind, host) =
            (machine("https://10.77.0.5:8001", None), "10.77.0.5".parse().unwrap());
        assert!(!may_be_at_bmc_of(&behind, &server(Some(one)), &host, 8002), "behind one address");
        let none = Machine::new("node-02", MachineSpec::default());
        assert!(!may_be_at_bmc_of(&none, &server(Some(one)), &host, 443));

        let mut known = machine("https://10.77.0.5", None);
        let (uuid, url) = (UUID.to_owned(), "https://10.77.0.5".to_owned());
        let system = Some(MachineSystemStatus { url, device_id: None, uuid });
        let redfish = Some(MachineRedfishStatus { system, ..MachineRedfishStatus::default() });
        known.status = Some(MachineStatus { redfish, ..MachineStatus::default() });
        assert!(!may_be_at_bmc_of(&known, &server(Some(one)), &host, 443), "the UUID decides");
    }
}
