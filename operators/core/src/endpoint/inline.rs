//! What to do with BMC objects when a BMC has an address, if there are to be no Endpoints.

use super::{Existing, Sighting, WantedObjects, wanted_inline};
use crate::macdb::Entry;
use jiff::Timestamp;
use metal_api::{Bmc, MacAddr};
use std::{net::IpAddr, sync::Arc};

/// What to do so that a BMC object has the address of a BMC.
#[derive(Clone, Debug, PartialEq)]
pub enum InlineRecording {
    /// One has it already, or leaves the address to an Endpoint.
    Nothing,
    /// None has the MAC address: create credentials and BMC of this name.
    Create(String, Box<WantedObjects>),
    /// One has the MAC address and another IP address, which cannot be changed. A person must
    /// delete it, or give its BMC the address back.
    Moved(Arc<Bmc>),
    /// Several have the MAC address. A person has to decide which one is meant.
    Ambiguous(Vec<Arc<Bmc>>),
    /// The object with the name for a new one has another address.
    NameTaken(Arc<Bmc>),
    /// The entry for its MAC prefix does not lead to a BMC.
    BadEntry(String),
}

/// Decides about one BMC.
pub fn inline_recording(
    seen: &Sighting,
    entry: &Entry,
    existing: Existing<Bmc>,
    now: Timestamp,
) -> InlineRecording {
    let (mac, ip) = (seen.mac, seen.address);
    let Existing { name, named, mut holders } = existing;
    match (holders.pop(), holders.len()) {
        (None, _) => {
            if let Some(other) = named {
                return InlineRecording::NameTaken(other);
            }
            match wanted_inline(&name, (mac, ip), entry, now) {
                Ok(wanted) => InlineRecording::Create(name, Box::new(wanted)),
                Err(problem) => InlineRecording::BadEntry(problem),
            }
        }
        (Some(only), 0) => {
            let Some(access) = &only.spec.access else { return InlineRecording::Nothing };
            let known = access.ip.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok());
            // A BMC with addresses of both IP versions keeps the one that it is known by.
            let stays = known.is_some_and(|known| known == ip || known.is_ipv4() != ip.is_ipv4());
            if stays { InlineRecording::Nothing } else { InlineRecording::Moved(only) }
        }
        (Some(last), _) => {
            holders.push(last);
            holders.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
            InlineRecording::Ambiguous(holders)
        }
    }
}

/// The MAC address that a BMC object has.
pub fn mac_of(bmc: &Bmc) -> Option<MacAddr> {
    let inline = bmc.spec.access.as_ref().and_then(|access| access.mac_address.as_deref());
    let seen = || bmc.status.as_ref().and_then(|status| status.mac_address.as_deref());
    inline.or_else(seen)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{endpoint::recording::name, macdb::MacDb};
    use metal_api::{BmcSpec, InlineAccess, LocalObjectReference};

    const MAC: MacAddr = MacAddr([0xaa, 0xbb, 0xcc, 0, 0, 1]);
    const IP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 77, 0, 5));

    fn existing(name: &str, ip: &str) -> Arc<Bmc> {
        let (mac_address, ip) = (Some(MAC.to_string()), Some(ip.to_owned()));
        let access = Some(InlineAccess { mac_address, ip });
        Arc::new(Bmc::new(name, BmcSpec { access, ..BmcSpec::default() }))
    }

    fn decide(protocol: &str, holders: Vec<Arc<Bmc>>, named: Option<Arc<Bmc>>) -> InlineRecording {
        let text = format!(
            "macPrefixes:\n- macPrefix: aabbcc\n  protocol: {protocol}\n  port: 443\n  type: bmc\n  \
             defaultCredentials: [{{ username: a, password: b }}]\n"
        );
        let database = MacDb::parse(&text).unwrap();
        let entry = database.lookup(MAC).unwrap();
        let until = Timestamp::UNIX_EPOCH;
        let seen = Sighting { mac: MAC, address: IP, until, elsewhere: None, is_recalled: false };
        let existing = Existing { name: name("compute-", MAC), named, holders };
        inline_recording(&seen, entry, existing, until)
    }

    #[test]
    fn a_new_bmc_gets_an_object_that_says_where_it_is_and_credentials() {
        let InlineRecording::Create(name, wanted) = decide("Redfish", vec![], None) else {
            panic!()
        };
        assert_eq!(name, "compute-aabbcc000001");
        let WantedObjects { bmc, secret, note } = *wanted;
        let (mac_address, ip) = (Some(MAC.to_string()), Some(IP.to_string()));
        assert_eq!(bmc.access, Some(InlineAccess { mac_address, ip }));
        assert_eq!((bmc.endpoint_ref, bmc.bmc_secret_ref.name), (None, name));
        assert_eq!(secret.data.unwrap().len(), 2);
        assert_eq!(note["bloomery.dev/known-address"], "10.77.0.5");
        assert_eq!(mac_of(&existing("a", "10.77.0.5")), Some(MAC));
    }

    #[test]
    fn a_known_bmc_is_left_alone_and_one_that_moved_is_told() {
        let same = existing("by-hand", "10.77.0.5");
        assert_eq!(decide("Redfish", vec![same], None), InlineRecording::Nothing);
        let by_v6 = existing("by-hand", "fd77::5");
        assert_eq!(decide("Redfish", vec![by_v6], None), InlineRecording::Nothing);
        let moved = existing("by-hand", "10.77.0.9");
        assert_eq!(
            decide("Redfish", vec![Arc::clone(&moved)], None),
            InlineRecording::Moved(moved)
        );
        let mut by_endpoint = Bmc::clone(&existing("a", "10.77.0.9"));
        by_endpoint.spec.access = None;
        by_endpoint.spec.endpoint_ref = Some(LocalObjectReference { name: "a".to_owned() });
        assert_eq!(decide("Redfish", vec![Arc::new(by_endpoint)], None), InlineRecording::Nothing);
    }

    #[test]
    fn what_is_not_ours_or_not_clear_is_not_touched() {
        let [a, b] = ["a", "b"].map(|name| existing(name, "10.77.0.9"));
        let both = InlineRecording::Ambiguous(vec![Arc::clone(&a), Arc::clone(&b)]);
        assert_eq!(decide("Redfish", vec![b, Arc::clone(&a)], None), both);
        assert_eq!(decide("Redfish", vec![], Some(Arc::clone(&a))), InlineRecording::NameTaken(a));
        let InlineRecording::BadEntry(problem) = decide("IPMI", vec![], None) else { panic!() };
        assert!(problem.contains("use Redfish"), "{problem}");
    }
}
