//! A BMC that has an address.

use jiff::Timestamp;
use metal_api::MacAddr;
use std::net::IpAddr;

/// A BMC with an address, as far as DHCP can tell: any client with its MAC address could have
/// asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting<A = IpAddr> {
    /// Its MAC address.
    pub mac: MacAddr,
    /// Its address.
    pub address: A,
    /// When its lease ends, unless it is renewed.
    pub until: Timestamp,
    /// An address that it has in another subnet, and until when. It cannot be in both places.
    pub elsewhere: Option<(A, Timestamp)>,
    /// Whether it was not seen now, but has a lease from before: what is recorded may be newer.
    pub is_recalled: bool,
}

impl<A: Into<IpAddr>> Sighting<A> {
    /// The same, independent of the IP version.
    pub fn of_any_kind(self) -> Sighting {
        let Self { mac, address, until, elsewhere, is_recalled } = self;
        let elsewhere = elsewhere.map(|(address, until)| (address.into(), until));
        Sighting { mac, address: address.into(), until, elsewhere, is_recalled }
    }
}
