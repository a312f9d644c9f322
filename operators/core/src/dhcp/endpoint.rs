//! What a BMC with an address means for the Endpoints.

use metal_api::{Endpoint, EndpointSpec, MacAddr};
use std::{net::IpAddr, sync::Arc};

/// What to do to the Endpoints so that one of them says where a BMC is.
#[derive(Clone, Debug, PartialEq)]
pub enum Recording {
    /// One says so already.
    Nothing,
    /// None has the MAC address: create this one.
    Create(Box<Endpoint>),
    /// One has the MAC address and another IP address, whoever made it: set `spec.ip`.
    Readdress(Arc<Endpoint>),
    /// Several have the MAC address. Which one is meant is for a person to say; touch none.
    Ambiguous(Vec<Arc<Endpoint>>),
    /// The name that a new one would have belongs to another address; touch nothing.
    NameTaken(Arc<Endpoint>),
}

/// Decides about one BMC. `holders` are the Endpoints with its MAC address, `named` is the one
/// with the [`name`] that a new one would get.
pub fn recording(
    prefix: &str,
    mac: MacAddr,
    ip: IpAddr,
    mut holders: Vec<Arc<Endpoint>>,
    named: Option<Arc<Endpoint>>,
) -> Recording {
    match (holders.pop(), holders.len()) {
        (None, _) => match named {
            Some(other) => Recording::NameTaken(other),
            None => Recording::Create(Box::new(endpoint(prefix, mac, ip))),
        },
        (Some(only), 0) => {
            let known = only.spec.ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok());
            // A BMC that has both kinds of address stays where it is reached by IPv4; otherwise its
            // Endpoint would change with every renewal.
            let stays = known == Some(ip) || (ip.is_ipv6() && known.is_some_and(|it| it.is_ipv4()));
            if stays { Recording::Nothing } else { Recording::Readdress(only) }
        }
        (Some(last), _) => {
            holders.push(last);
            holders.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
            Recording::Ambiguous(holders)
        }
    }
}

/// The name of the Endpoint of a BMC: FeDHCP's prefix, and the MAC address where FeDHCP has
/// something random, so that two instances make one object.
pub fn name(prefix: &str, MacAddr(octets): MacAddr) -> String {
    octets.iter().fold(prefix.to_owned(), |name, octet| format!("{name}{octet:02x}"))
}

fn endpoint(prefix: &str, mac: MacAddr, ip: IpAddr) -> Endpoint {
    let spec = EndpointSpec { mac_address: Some(mac.to_string()), ip: Some(ip.to_string()) };
    Endpoint::new(&name(prefix, mac), spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddr = MacAddr([0xaa, 0xbb, 0xcc, 0, 0, 1]);
    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 77, 0, 5));

    fn existing(name: &str, mac: &str, ip: &str) -> Arc<Endpoint> {
        let spec = EndpointSpec { mac_address: Some(mac.to_owned()), ip: Some(ip.to_owned()) };
        Arc::new(Endpoint::new(name, spec))
    }

    fn decide(holders: Vec<Arc<Endpoint>>, named: Option<Arc<Endpoint>>) -> Recording {
        recording("compute-", MAC, IP, holders, named)
    }

    #[test]
    fn a_new_bmc_gets_an_endpoint_with_a_name_that_anybody_would_give_it() {
        let Recording::Create(endpoint) = decide(vec![], None) else { panic!() };
        assert_eq!(endpoint.metadata.name.as_deref(), Some("compute-aabbcc000001"));
        assert_eq!(endpoint.spec.mac_address.as_deref(), Some("aa:bb:cc:00:00:01"));
        assert_eq!(endpoint.spec.ip.as_deref(), Some("10.77.0.5"));
    }

    #[test]
    fn a_known_bmc_is_left_alone_until_its_address_changes() {
        let same = existing("by-hand", "AA-BB-CC-00-00-01", "10.77.0.5");
        assert_eq!(decide(vec![same], None), Recording::Nothing);
        let moved = existing("by-hand", "AA-BB-CC-00-00-01", "10.77.0.9");
        assert_eq!(decide(vec![Arc::clone(&moved)], None), Recording::Readdress(moved));
    }

    #[test]
    fn an_ipv6_address_takes_the_place_of_none_but_an_ipv6_address() {
        let ip: IpAddr = "fd77::5".parse().unwrap();
        let decide = |holder| recording("compute-", MAC, ip, vec![holder], None);
        let by_v4 = existing("a", "aa:bb:cc:00:00:01", "10.77.0.5");
        assert_eq!(decide(by_v4), Recording::Nothing);
        let written_otherwise = existing("a", "aa:bb:cc:00:00:01", "FD77:0::5");
        assert_eq!(decide(written_otherwise), Recording::Nothing);
        let moved = existing("a", "aa:bb:cc:00:00:01", "fd77::9");
        assert_eq!(decide(Arc::clone(&moved)), Recording::Readdress(moved));
    }

    #[test]
    fn of_two_with_one_mac_address_none_is_touched() {
        let a = existing("a", "aa:bb:cc:00:00:01", "10.77.0.9");
        let b = existing("b", "aa:bb:cc:00:00:01", "10.77.0.5");
        let both = Recording::Ambiguous(vec![Arc::clone(&a), Arc::clone(&b)]);
        assert_eq!(decide(vec![b, a], None), both);
    }

    #[test]
    fn a_name_that_belongs_to_another_address_is_not_taken_over() {
        let other = existing("compute-aabbcc000001", "aa:bb:cc:00:00:02", "10.77.0.9");
        let taken = Recording::NameTaken(Arc::clone(&other));
        assert_eq!(decide(vec![], Some(other)), taken);
    }
}
