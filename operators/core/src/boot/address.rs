//! Whether a request comes from an address of the machine that the answer is for.
//!
//! netboot records which address it gave to which MAC address ([`DhcpLease`]). DHCP proves nothing,
//! so this does not stop anybody who takes over the address or the MAC address of a machine on its
//! own link. It stops everybody else who knows a UUID.
//!
//! ```text
//!                          asks by IPv4                        asks by IPv6
//! no lease                 may, but for other servers          may, but for other servers
//! leases of both           one of them                         one of them, or made of its MAC
//! IPv4 only                one of them                         made of its MAC (RFC 4291, A)
//! IPv6 only                what is not leased to another       one of them, or made of its MAC
//! ```
//!
//! A client that spoofs the MAC address of a machine in DHCP gets the same address as the machine,
//! or one in another subnet. The machine's later leases are additional ones, so it is never locked
//! out by those of others.

use jiff::Timestamp;
use metal_api::{DhcpLease, DhcpLeaseState, MacAddr, Server};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv6Addr};

/// The address of a DHCP client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeasedAddress {
    /// Its MAC address.
    pub mac: MacAddr,
    /// The address.
    pub address: IpAddr,
    /// After this time it is not known whether the client still has it.
    pub until: Timestamp,
}

impl LeasedAddress {
    /// The address of a lease, with its client; `None` for addresses in quarantine, for clients without a
    /// MAC address, and for objects that netboot did not write.
    pub fn of(object: &DhcpLease) -> Option<Self> {
        let (address, mac) = (object.address()?, object.spec.client.parse().ok()?);
        let is_bound = object.spec.state == DhcpLeaseState::Bound;
        is_bound.then_some(Self { mac, address, until: object.spec.held_until.0 })
    }
}

/// Who has the address that a request comes from, as far as netboot assigned it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody known, or the machine itself.
    Unknown,
    /// A client that is not a server, or an interface of the machine that its inventory lacks.
    Client,
    /// Another server.
    Server,
}

/// The known addresses of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownAddresses {
    /// MAC addresses of its interfaces.
    pub macs: Vec<MacAddr>,
    /// The addresses that netboot has given to those.
    pub leased: Vec<IpAddr>,
    /// Addresses that a person has specified.
    pub named: Vec<IpAddr>,
}

impl KnownAddresses {
    /// Whether a request `from` an address that `holder` has may come from the machine.
    pub fn may_be_at(&self, from: IpAddr, holder: Holder) -> bool {
        let from = from.to_canonical();
        if self.leased.contains(&from) || self.named.contains(&from) {
            return true;
        }
        if self.leased.is_empty() {
            return holder != Holder::Server;
        }
        match from {
            // If netboot assigns no IPv4 addresses, somebody else does.
            IpAddr::V4(_) => holder == Holder::Unknown && self.leased.iter().all(IpAddr::is_ipv6),
            // Firmware, iPXE and initrds make addresses of their own in addition to those of DHCP.
            IpAddr::V6(from) => self.macs.iter().any(|mac| is_made_of(from, *mac)),
        }
    }
}

/// The distinct MAC addresses of a server: bonds have that of their first port.
pub fn macs_of(server: &Server) -> Vec<MacAddr> {
    let interfaces = server.status.iter().flat_map(|status| &status.network_interfaces);
    let mut macs: Vec<MacAddr> =
        interfaces.filter_map(|interface| interface.mac_address.parse().ok()).collect();
    macs.sort_unstable();
    macs.dedup();
    macs
}

/// Whether the interface identifier of an address is the modified EUI-64 of a MAC address.
fn is_made_of(
    address: Ipv6Addr,
    MacAddr([first, second, third, fourth, fifth, sixth]): MacAddr,
) -> bool {
    let id = [first ^ 2, second, third, 0xff, 0xfe, fourth, fifth, sixth];
    address.octets().ends_with(&id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use metal_api::{DhcpLeaseSpec, DhcpLeaseState, NetworkInterface, ServerSpec, ServerStatus};

    const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
    const V4: &str = "10.77.0.101";
    const V6: &str = "fd77::101";
    const MADE: &str = "fd77::ff:fe00:1";

    /// Leases, the source address of a request, its holder, and the answer.
    type Case = (&'static [&'static str], &'static str, Holder, bool);

    #[test]
    fn a_machine_asks_from_what_was_leased_to_it_and_nobody_else_does() {
        let cases: [Case; 24] = [
            (&[], V4, Holder::Unknown, true),
            (&[], V4, Holder::Client, true),
            (&[], V6, Holder::Unknown, true),
            (&[], V4, Holder::Server, false),
            (&[V6], V4, Holder::Server, false),
            (&[V4], V4, Holder::Unknown, true),
            (&[V4], "::ffff:10.77.0.101", Holder::Unknown, true),
            (&[V4], "10.77.0.102", Holder::Unknown, false),
            (&[V4], "10.77.0.102", Holder::Client, false),
            (&[V4], "127.0.0.1", Holder::Unknown, false),
            (&[V4, "10.78.0.5"], "10.78.0.5", Holder::Unknown, true),
            // It boots by IPv4, and fetches by IPv6.
            (&[V4], MADE, Holder::Unknown, true),
            (&[V4], "fe80::ff:fe00:1", Holder::Unknown, true),
            (&[V4], "fe80::ff:fe00:2", Holder::Unknown, false),
            (&[V4], V6, Holder::Unknown, false),
            (&[V4, V6], V6, Holder::Unknown, true),
            (&[V4, V6], "fd77::102", Holder::Unknown, false),
            (&[V4, V6], "10.77.0.102", Holder::Unknown, false),
            (&[V6], MADE, Holder::Unknown, true),
            (&[V6], "fd77::102", Holder::Unknown, false),
            // Another server assigns IPv4 addresses.
            (&[V6], V4, Holder::Unknown, true),
            (&[V6], V4, Holder::Client, false),
            (&[V6], "::ffff:10.77.0.101", Holder::Client, false),
            (&[V6], V6, Holder::Unknown, true),
        ];
        for (leased, from, holder, may) in cases {
            let known =
                KnownAddresses { macs: vec![MAC], leased: addresses(leased), named: vec![] };
            let from = from.parse().unwrap();
            assert_eq!(known.may_be_at(from, holder), may, "{leased:?} {from}");
        }
    }

    #[test]
    fn what_somebody_has_named_by_hand_is_the_machines_as_well() {
        let named = addresses(&["10.1.1.1"]);
        let known = KnownAddresses { macs: vec![], leased: addresses(&[V4]), named };
        assert!(known.may_be_at([10, 1, 1, 1].into(), Holder::Server));
        assert!(!known.may_be_at([10, 1, 1, 2].into(), Holder::Unknown));
    }

    #[test]
    fn only_a_bound_lease_of_a_mac_address_says_where_its_client_is() {
        let until = Timestamp::from_second(1000).unwrap();
        for address in addresses(&[V4, V6]) {
            let place = LeasedAddress { mac: MAC, address, until };
            assert_eq!(LeasedAddress::of(&lease(address, "02:00:00:00:00:01")), Some(place));
            assert_eq!(LeasedAddress::of(&lease(address, "id-00ff")), None);
            let mut declined = lease(address, "02:00:00:00:00:01");
            declined.spec.state = DhcpLeaseState::Declined;
            assert_eq!(LeasedAddress::of(&declined), None);
            let mut renamed = lease(address, "02:00:00:00:00:01");
            renamed.metadata.name = Some("made-by-hand".to_owned());
            assert_eq!(LeasedAddress::of(&renamed), None);
        }
    }

    #[test]
    fn interfaces_of_a_server_count_once_however_they_are_written() {
        let interface = |mac: &str| NetworkInterface {
            mac_address: mac.to_owned(),
            ..NetworkInterface::default()
        };
        let macs = ["02-00-00-00-00-01", "02:00:00:00:00:01", "", "none"];
        let network_interfaces = macs.map(interface).to_vec();
        let mut server = Server::new("server", ServerSpec::default());
        assert_eq!(macs_of(&server), []);
        server.status = Some(ServerStatus { network_interfaces, ..ServerStatus::default() });
        assert_eq!(macs_of(&server), [MAC]);
    }

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn lease(address: IpAddr, client: &str) -> DhcpLease {
        let spec = DhcpLeaseSpec {
            ip: address.to_string(),
            client: client.to_owned(),
            hostname: None,
            state: DhcpLeaseState::Bound,
            held_until: Time(Timestamp::from_second(1000).unwrap()),
        };
        DhcpLease::new(&DhcpLease::name_of(address), spec)
    }
}
