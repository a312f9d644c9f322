//! DHCP leases of a Machine.

use metal_api::{MacAddr, Machine, MachineLease};
use std::net::Ipv4Addr;

/// Maximum number of DNS servers: clients use at most three, and a response has little room.
const MAX_DNS: usize = 8;

/// A lease that can be served.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lease {
    /// The MAC address of the interface.
    pub mac: MacAddr,
    /// Its address.
    pub ip: Ipv4Addr,
    /// Prefix length of its subnet.
    pub prefix: u8,
    /// The default gateway.
    pub gateway: Option<Ipv4Addr>,
    /// DNS servers.
    pub dns: Vec<Ipv4Addr>,
}

/// Why a lease is invalid.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum InvalidLease<'a> {
    /// Invalid MAC address.
    #[error("mac: `{0}` is not a MAC address; use the form aa:bb:cc:dd:ee:ff")]
    Mac(&'a str),
    /// Invalid address, or not the address of a host.
    #[error("ipv4: `{0}` is not the IPv4 address of a host")]
    Ip(&'a str),
    /// Invalid mask, or one without room for hosts.
    #[error("subnetMask: `{0}` is not a subnet mask; use, for example, 255.255.255.0")]
    Mask(&'a str),
    /// Invalid gateway address.
    #[error("gateway: `{0}` is not an IPv4 address; correct it, or leave it empty")]
    Gateway(&'a str),
}

impl Lease {
    /// Parses a lease of a Machine.
    ///
    /// # Errors
    ///
    /// The first invalid field.
    pub fn parse(lease: &MachineLease) -> Result<Self, InvalidLease<'_>> {
        let mac = mac(lease).ok_or(InvalidLease::Mac(&lease.mac))?;
        let ip = ipv4(lease).filter(|ip| is_host(*ip)).ok_or(InvalidLease::Ip(&lease.ipv4))?;
        let prefix = prefix(&lease.subnet_mask).ok_or(InvalidLease::Mask(&lease.subnet_mask))?;
        let gateway = match lease.gateway.trim() {
            "" => None,
            text => Some(text.parse().map_err(|_| InvalidLease::Gateway(&lease.gateway))?),
        };
        let dns = lease.dns.iter().filter_map(|text| text.trim().parse().ok());
        Ok(Self { mac, ip, prefix, gateway, dns: dns.take(MAX_DNS).collect() })
    }
}

/// The leases of one interface of a Machine, in their order; there is one per subnet in which it
/// may appear.
pub fn leases_of(machine: &Machine, mac: MacAddr) -> Vec<Lease> {
    let all = machine.spec.pxe.iter().flat_map(|pxe| &pxe.dhcp_leases);
    all.filter_map(|lease| Lease::parse(lease).ok()).filter(|lease| lease.mac == mac).collect()
}

/// The MAC address of a lease, in any notation.
pub fn mac(lease: &MachineLease) -> Option<MacAddr> {
    lease.mac.parse().ok()
}

/// The address of a lease.
pub fn ipv4(lease: &MachineLease) -> Option<Ipv4Addr> {
    lease.ipv4.trim().parse().ok()
}

/// Whether it can be the address of a host.
fn is_host(ip: Ipv4Addr) -> bool {
    !(ip.is_unspecified() || ip.is_broadcast() || ip.is_multicast())
}

/// The prefix length of a mask; `None` if its ones are not contiguous.
fn prefix(mask: &str) -> Option<u8> {
    let bits = mask.trim().parse::<Ipv4Addr>().ok()?.to_bits();
    let ones = bits.leading_ones();
    let is_mask = ones > 0 && bits.count_ones() == ones;
    u8::try_from(ones).ok().filter(|_| is_mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(edit: impl FnOnce(&mut MachineLease)) -> MachineLease {
        let mut lease = MachineLease {
            ipv4: "10.0.0.11".to_owned(),
            mac: "02-00-00-00-00-01".to_owned(),
            subnet_mask: "255.255.252.0".to_owned(),
            gateway: "10.0.0.1".to_owned(),
            dns: vec!["10.0.0.2".to_owned(), "fd00::1".to_owned(), "nobody".to_owned()],
        };
        edit(&mut lease);
        lease
    }

    #[test]
    fn a_lease_is_read_in_every_notation_and_servers_of_dns_that_are_none_are_left_out() {
        let expected = Lease {
            mac: MacAddr([2, 0, 0, 0, 0, 1]),
            ip: [10, 0, 0, 11].into(),
            prefix: 22,
            gateway: Some([10, 0, 0, 1].into()),
            dns: vec![[10, 0, 0, 2].into()],
        };
        assert_eq!(Lease::parse(&lease(|_| ())), Ok(expected.clone()));
        let without = lease(|it| it.gateway.clear());
        assert_eq!(Lease::parse(&without), Ok(Lease { gateway: None, ..expected }));
    }

    #[test]
    fn what_cannot_be_served_is_named_with_its_field() {
        type Edit = fn(&mut MachineLease);
        let text = |edit: Edit| Lease::parse(&lease(edit)).map_err(|error| error.to_string());
        let fields: [(Edit, &str); 6] = [
            (|it| it.mac = "02:00".to_owned(), "mac: `02:00`"),
            (|it| it.ipv4.clear(), "ipv4: ``"),
            (|it| it.ipv4 = "255.255.255.255".to_owned(), "ipv4: `255.255.255.255`"),
            (|it| it.subnet_mask = "255.0.255.0".to_owned(), "subnetMask: `255.0.255.0`"),
            (|it| it.subnet_mask = "0.0.0.0".to_owned(), "subnetMask: `0.0.0.0`"),
            (|it| it.gateway = "fd00::1".to_owned(), "gateway: `fd00::1`"),
        ];
        for (edit, expected) in fields {
            let error = text(edit).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn an_interface_has_the_leases_of_its_mac_address_that_can_be_served() {
        let other = lease(|it| it.mac = "02:00:00:00:00:02".to_owned());
        let second = lease(|it| it.ipv4 = "10.9.0.11".to_owned());
        let broken = lease(|it| it.subnet_mask.clear());
        let pxe = metal_api::MachinePxe {
            dhcp_leases: vec![broken, other, lease(|_| ()), second],
            ..metal_api::MachinePxe::default()
        };
        let spec = metal_api::MachineSpec { pxe: Some(pxe), ..metal_api::MachineSpec::default() };
        let found = leases_of(&Machine::new("a", spec), MacAddr([2, 0, 0, 0, 0, 1]));
        let ips: Vec<_> = found.iter().map(|lease| lease.ip.to_string()).collect();
        assert_eq!(ips, ["10.0.0.11", "10.9.0.11"]);
    }
}
