//! How the report registry processes a report.

use crate::json::Bounds;
use metal_api::{
    LldpNeighbor, MacAddr, NetworkInterface, ParseSystemUuidError, SystemUuid,
    inventory::{Lldp, Neighbor, NetworkInterface as Reported, Report},
};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, net::IpAddr};

/// Most entries in any list of a report: more than any machine has.
const ENTRIES: usize = 4096;

/// Limits of a report: about five times what the largest machine sends.
pub const BOUNDS: Bounds = Bounds { values: 50_000, entries: ENTRIES, depth: 32 };

/// Why a report is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The report is about another machine than the token allows.
    #[error("systemUUID {reported} does not match the server of this token")]
    Foreign {
        /// The UUID in the report.
        reported: SystemUuid,
    },
    /// The UUID is malformed.
    #[error("systemUUID {0:?} is not a UUID: send the SMBIOS system UUID (--server-uuid)")]
    Uuid(String),
    /// Many machines share the UUID.
    #[error("systemUUID {0} is a default that is not unique: set a unique one in the BIOS")]
    Placeholder(String),
    /// A list is longer than that of any machine.
    #[error("data.{field} has {len} entries, more than the maximum of {ENTRIES}")]
    TooLong {
        /// Name of the list.
        field: &'static str,
        /// Its length.
        len: usize,
    },
}

/// The UUID of a report.
///
/// # Errors
///
/// If it is not a UUID, or one that many boards are shipped with.
pub fn system_uuid(text: &str) -> Result<SystemUuid, Malformed> {
    text.parse().map_err(|error| match error {
        ParseSystemUuidError::Malformed => Malformed::Uuid(text.chars().take(64).collect()),
        ParseSystemUuidError::Placeholder(uuid) => Malformed::Placeholder(uuid.to_string()),
    })
}

/// A report as it is stored: bounded, with MAC addresses in canonical form and lists in canonical
/// order, so that a machine always gives the same text. Nothing that the agent found is left out.
///
/// # Errors
///
/// If it is larger than that of any machine.
pub fn normalize(mut report: Report) -> Result<Report, Malformed> {
    let lists = [
        ("cpu", report.cpu.len()),
        ("networkInterfaces", report.network_interfaces.len()),
        ("lldp", report.lldp.len()),
        ("storage", report.storage.len()),
        ("memory", report.memory.len()),
        ("nics", report.nics.len()),
        ("pciDevices", report.pci_devices.len()),
    ];
    if let Some((field, len)) = lists.into_iter().find(|(_, len)| *len > ENTRIES) {
        return Err(Malformed::TooLong { field, len });
    }
    for interface in &mut report.network_interfaces {
        lower(&mut interface.mac_address);
        interface.ip_addresses.sort();
    }
    report.nics.iter_mut().for_each(|nic| lower(&mut nic.mac));
    report.network_interfaces.sort_by(|a, b| a.name.cmp(&b.name));
    report.nics.sort_by(|a, b| a.name.cmp(&b.name));
    report.lldp.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(report)
}

/// SHA-256 of a report, without the time at which it was made.
///
/// # Errors
///
/// Never for a report that was read from JSON.
pub fn fingerprint(report: &Report) -> Result<[u8; 32], serde_json::Error> {
    let mut report = report.clone();
    report.timestamp = String::new();
    Ok(Sha256::digest(serde_json::to_vec(&report)?).into())
}

/// Whether a report is enough for its server to be claimed: it has an interface with a MAC address.
pub fn is_complete(report: &Report) -> bool {
    report.network_interfaces.iter().any(|interface| mac(&interface.mac_address).is_some())
}

/// The interfaces for the Server: those with a MAC address, with their valid IP addresses and their
/// neighbors.
pub fn interfaces(report: &Report) -> Vec<NetworkInterface> {
    let neighbors: BTreeMap<_, _> =
        report.lldp.iter().map(|lldp| (lldp.name.as_str(), lldp)).collect();
    let shown = |reported: &Reported| {
        Some(NetworkInterface {
            name: reported.name.clone(),
            mac_address: mac(&reported.mac_address)?.to_string(),
            ip: None,
            ips: reported.ip_addresses.iter().filter(|ip| is_address(ip)).cloned().collect(),
            carrier_status: some(&reported.carrier_status),
            neighbors: neighbors.get(reported.name.as_str()).map_or_else(Vec::new, |l| near(l)),
        })
    };
    report.network_interfaces.iter().filter_map(shown).collect()
}

fn near(lldp: &Lldp) -> Vec<LldpNeighbor> {
    let shown = |neighbor: &Neighbor| LldpNeighbor {
        mac_address: some(&neighbor.chassis_id),
        port_id: some(&neighbor.port_id),
        port_description: some(&neighbor.port_description),
        system_name: some(&neighbor.system_name),
        system_description: some(&neighbor.system_description),
    };
    lldp.neighbors.iter().map(shown).collect()
}

fn mac(text: &str) -> Option<MacAddr> {
    text.parse().ok().filter(|mac: &MacAddr| mac.0 != [0; 6])
}

fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

fn lower(text: &mut String) {
    if let Some(mac) = mac(text) {
        *text = mac.to_string();
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_is_found_in_any_case_and_nothing_else_is_taken_for_one() {
        let uuid = "38947555-7742-3448-3784-823347823834";
        assert_eq!(system_uuid(&uuid.to_uppercase()).unwrap().to_string(), uuid);
        for text in ["", "../x", "38947555"] {
            assert_eq!(system_uuid(text), Err(Malformed::Uuid(text.to_owned())));
        }
        let shipped = "03000200-0400-0500-0006-000700080009";
        assert_eq!(system_uuid(shipped), Err(Malformed::Placeholder(shipped.to_owned())));
    }

    #[test]
    fn report_without_a_usable_interface_is_not_complete() {
        let mut report = Report::default();
        assert!(!is_complete(&report));
        report.network_interfaces = vec![interface("ib0", "00:00:00:00:00:00")];
        assert!(!is_complete(&report));
        report.network_interfaces.push(interface("eth0", "23:11:8A:00:00:01"));
        assert!(is_complete(&report));
    }

    #[test]
    fn order_and_case_make_no_difference_and_oversized_lists_are_refused() {
        let (a, b) = (interface("a", "23-11-8A-00-00-01"), interface("b", "23:11:8a:00:00:02"));
        let report = |list: Vec<Reported>| Report { network_interfaces: list, ..Report::default() };
        let one = normalize(report(vec![a.clone(), b.clone()])).unwrap();
        assert_eq!(one, normalize(report(vec![b, a.clone()])).unwrap());
        assert_eq!(one.network_interfaces[0].mac_address, "23:11:8a:00:00:01");

        let error = normalize(report(vec![a; ENTRIES + 1])).unwrap_err();
        assert_eq!(error, Malformed::TooLong { field: "networkInterfaces", len: ENTRIES + 1 });
    }

    #[test]
    fn fingerprint_is_that_of_all_but_the_time() {
        let report = |time: &str, name: &str| Report {
            timestamp: time.to_owned(),
            network_interfaces: vec![interface(name, "23:11:8a:00:00:01")],
            ..Report::default()
        };
        let of = |report: Report| fingerprint(&report).unwrap();
        assert_eq!(of(report("now", "eth0")), of(report("later", "eth0")));
        assert_ne!(of(report("now", "eth0")), of(report("now", "eth1")));
    }

    #[test]
    fn server_shows_valid_addresses_and_neighbors_of_each_interface() {
        let mut eth0 = interface("eth0", "23:11:8a:00:00:01");
        eth0.ip_addresses = vec!["10.0.0.5".into(), "nonsense".into(), "fe80::1".into()];
        let neighbor = Neighbor { system_name: "leaf-1".into(), ..Neighbor::default() };
        let lldp = Lldp { name: "eth0".into(), neighbors: vec![neighbor], ..Lldp::default() };
        let report =
            Report { network_interfaces: vec![eth0], lldp: vec![lldp], ..Report::default() };
        let shown = interfaces(&report);
        assert_eq!(shown[0].ips, ["10.0.0.5", "fe80::1"]);
        assert_eq!(shown[0].neighbors[0].system_name.as_deref(), Some("leaf-1"));
    }

    fn interface(name: &str, mac: &str) -> Reported {
        Reported { name: name.into(), mac_address: mac.into(), ..Reported::default() }
    }
}
