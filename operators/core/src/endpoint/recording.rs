//! What to do with Endpoints when a BMC has an address.

use super::{Existing, Sighting};
use crate::ownership;
use jiff::Timestamp;
use metal_api::{Endpoint, EndpointSpec, MacAddr, annotation};
use std::{net::IpAddr, sync::Arc};

/// What to do so that one Endpoint has the address of a BMC.
#[derive(Clone, Debug, PartialEq)]
pub enum Recording {
    /// One has it already.
    Nothing,
    /// None has the MAC address: create this one.
    Create(Box<Endpoint>),
    /// One has the MAC address and another IP address: find out whether the BMC still answers
    /// there, and decide again.
    Ask(IpAddr),
    /// One has the MAC address and another IP address, where nobody answers, whoever made it: set
    /// `spec.ip`.
    Readdress(Arc<Endpoint>),
    /// The BMC cannot be at the address that DHCP saw, or two devices pretend to be it. A person
    /// has to decide which to trust; nothing is changed.
    Conflict(Arc<Endpoint>, Conflict),
    /// Several have the MAC address. A person has to decide which one is meant; nothing is changed.
    Ambiguous(Vec<Arc<Endpoint>>),
    /// The object with the name for a new one has another address; nothing is changed.
    NameTaken(Arc<Endpoint>),
}

/// Why the address that DHCP saw for a BMC is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Its lease of this address, in another subnet, has not ended.
    #[error("its lease of {0} has not expired")]
    Lease(IpAddr),
    /// It still answers at the address in the Endpoint.
    #[error("it still responds at {0}")]
    Answers(IpAddr),
}

/// Whether a BMC answers at the address in its Endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Not known yet.
    Unasked,
    /// It does.
    Given,
    /// It does not.
    Missing,
}

/// Decides about one BMC; `answer` is whether it answers at its previous address.
pub fn recording(
    seen: &Sighting,
    existing: Existing<Endpoint>,
    answer: Answer,
    now: Timestamp,
) -> Recording {
    let Existing { name, named, mut holders } = existing;
    match (holders.pop(), holders.len()) {
        (None, _) => match named {
            Some(other) => Recording::NameTaken(other),
            None => Recording::Create(Box::new(endpoint(&name, seen))),
        },
        (Some(only), 0) => known(only, seen, answer, now),
        (Some(last), _) => {
            holders.push(last);
            holders.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
            Recording::Ambiguous(holders)
        }
    }
}

fn known(only: Arc<Endpoint>, seen: &Sighting, answer: Answer, now: Timestamp) -> Recording {
    let ip = seen.address;
    let known = only.spec.ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok());
    // A BMC with addresses of both IP versions keeps its IPv4 address; otherwise its Endpoint would
    // change with every renewal.
    if ip.is_ipv6() && known.is_some_and(|it| it.is_ipv4()) {
        return Recording::Nothing;
    }
    if let Some((there, _)) = seen.elsewhere.filter(|(_, until)| *until > now) {
        return Recording::Conflict(only, Conflict::Lease(there));
    }
    match (known, answer) {
        (Some(known), _) if known == ip => Recording::Nothing,
        (Some(known), Answer::Unasked) => Recording::Ask(known),
        // It has addresses of both IP versions, and is reached at one of them.
        (Some(known), Answer::Given) if known.is_ipv6() && ip.is_ipv4() => Recording::Nothing,
        (Some(known), Answer::Given) => Recording::Conflict(only, Conflict::Answers(known)),
        (Some(_), Answer::Missing) | (None, _) => Recording::Readdress(only),
    }
}

/// The name of the Endpoint of a BMC: FeDHCP's prefix, followed by the MAC address instead of
/// FeDHCP's random suffix, so that two instances make one object.
pub fn name(prefix: &str, MacAddr(octets): MacAddr) -> String {
    octets.iter().fold(prefix.to_owned(), |name, octet| format!("{name}{octet:02x}"))
}

fn endpoint(name: &str, seen: &Sighting) -> Endpoint {
    let (mac_address, ip) = (Some(seen.mac.to_string()), Some(seen.address.to_string()));
    let mut endpoint = Endpoint::new(name, EndpointSpec { mac_address, ip });
    let label = (annotation::MANAGED_BY.to_owned(), ownership::NETBOOT.to_owned());
    endpoint.metadata.labels = Some([label].into());
    endpoint
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddr = MacAddr([0xaa, 0xbb, 0xcc, 0, 0, 1]);
    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 77, 0, 5));

    fn made(name: &str, mac: &str, ip: &str) -> Arc<Endpoint> {
        let spec = EndpointSpec { mac_address: Some(mac.to_owned()), ip: Some(ip.to_owned()) };
        Arc::new(Endpoint::new(name, spec))
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    fn seen(address: IpAddr) -> Sighting {
        Sighting { mac: MAC, address, until: now(), elsewhere: None, is_recalled: false }
    }

    fn existing(holders: Vec<Arc<Endpoint>>, named: Option<Arc<Endpoint>>) -> Existing<Endpoint> {
        Existing { name: name("compute-", MAC), named, holders }
    }

    fn decide(holders: Vec<Arc<Endpoint>>, named: Option<Arc<Endpoint>>) -> Recording {
        recording(&seen(IP), existing(holders, named), Answer::Unasked, now())
    }

    fn told(holder: &Arc<Endpoint>, seen: &Sighting, answer: Answer) -> Recording {
        recording(seen, existing(vec![Arc::clone(holder)], None), answer, now())
    }

    #[test]
    fn a_new_bmc_gets_an_endpoint_with_a_name_that_anybody_would_give_it() {
        let Recording::Create(endpoint) = decide(vec![], None) else { panic!() };
        assert_eq!(endpoint.metadata.name.as_deref(), Some("compute-aabbcc000001"));
        assert_eq!(endpoint.spec.mac_address.as_deref(), Some("aa:bb:cc:00:00:01"));
        assert_eq!(endpoint.spec.ip.as_deref(), Some("10.77.0.5"));
    }

    #[test]
    fn a_known_bmc_moves_only_if_it_no_longer_answers_where_it_was() {
        let same = made("by-hand", "AA-BB-CC-00-00-01", "10.77.0.5");
        assert_eq!(decide(vec![same], None), Recording::Nothing);
        for (was, is) in [("10.77.0.9", IP), ("fd77::9", "fd77::5".parse().unwrap())] {
            let moved = made("by-hand", "AA-BB-CC-00-00-01", was);
            let was: IpAddr = was.parse().unwrap();
            assert_eq!(told(&moved, &seen(is), Answer::Unasked), Recording::Ask(was));
            let conflict = Recording::Conflict(Arc::clone(&moved), Conflict::Answers(was));
            assert_eq!(told(&moved, &seen(is), Answer::Given), conflict);
            let readdressed = Recording::Readdress(Arc::clone(&moved));
            assert_eq!(told(&moved, &seen(is), Answer::Missing), readdressed);
        }
    }

    #[test]
    fn a_known_bmc_whose_lease_in_another_subnet_runs_stays_where_it_is() {
        let later = now() + jiff::SignedDuration::from_secs(1);
        for (was, is) in [("10.66.0.5", IP), ("fd66::5", "fd77::5".parse().unwrap())] {
            let at = made("a", "aa:bb:cc:00:00:01", was);
            let was: IpAddr = was.parse().unwrap();
            let seen = Sighting { elsewhere: Some((was, later)), ..seen(is) };
            let conflict = Recording::Conflict(Arc::clone(&at), Conflict::Lease(was));
            for answer in [Answer::Unasked, Answer::Given, Answer::Missing] {
                assert_eq!(told(&at, &seen, answer), conflict, "{answer:?}");
            }
            // Somebody pretends to be the BMC; that is reported even while the BMC renews.
            let other = Sighting { address: was, elsewhere: Some((is, later)), ..seen };
            let conflict = Recording::Conflict(Arc::clone(&at), Conflict::Lease(is));
            assert_eq!(told(&at, &other, Answer::Unasked), conflict);
            let past = Sighting { elsewhere: Some((was, now())), ..seen };
            let readdressed = Recording::Readdress(Arc::clone(&at));
            assert_eq!(told(&at, &past, Answer::Missing), readdressed);
        }
    }

    #[test]
    fn a_bmc_with_addresses_of_both_kinds_is_left_where_it_is_reached() {
        let ip: IpAddr = "fd77::5".parse().unwrap();
        let by_v4 = made("a", "aa:bb:cc:00:00:01", "10.77.0.5");
        for answer in [Answer::Unasked, Answer::Given, Answer::Missing] {
            assert_eq!(told(&by_v4, &seen(ip), answer), Recording::Nothing);
        }
        let written_otherwise = made("a", "aa:bb:cc:00:00:01", "FD77:0::5");
        assert_eq!(told(&written_otherwise, &seen(ip), Answer::Unasked), Recording::Nothing);
        let by_v6 = made("a", "aa:bb:cc:00:00:01", "fd77::5");
        assert_eq!(told(&by_v6, &seen(IP), Answer::Unasked), Recording::Ask(ip));
        assert_eq!(told(&by_v6, &seen(IP), Answer::Given), Recording::Nothing);
        let readdressed = Recording::Readdress(Arc::clone(&by_v6));
        assert_eq!(told(&by_v6, &seen(IP), Answer::Missing), readdressed);
    }

    #[test]
    fn of_two_with_one_mac_address_none_is_touched() {
        let a = made("a", "aa:bb:cc:00:00:01", "10.77.0.9");
        let b = made("b", "aa:bb:cc:00:00:01", "10.77.0.5");
        let both = Recording::Ambiguous(vec![Arc::clone(&a), Arc::clone(&b)]);
        assert_eq!(decide(vec![b, a], None), both);
    }

    #[test]
    fn a_name_that_belongs_to_another_address_is_not_taken_over() {
        let other = made("compute-aabbcc000001", "aa:bb:cc:00:00:02", "10.77.0.9");
        let taken = Recording::NameTaken(Arc::clone(&other));
        assert_eq!(decide(vec![], Some(other)), taken);
    }
}
