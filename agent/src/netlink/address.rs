//! IPv4 addresses and routes by `rtnetlink(7)`.

use super::{
    ROUTE, message,
    socket::{Netlink, NetlinkError},
};
use std::net::Ipv4Addr;

const NEW_ADDRESS: u16 = 20;
const REMOVE_ADDRESS: u16 = 21;
const NEW_ROUTE: u16 = 24;
const INET: u8 = 2;

const ADDRESS: u16 = 1;
const LOCAL: u16 = 2;
const BROADCAST: u16 = 4;

const OUTGOING: u16 = 4;
const GATEWAY: u16 = 5;
const PRIORITY: u16 = 6;
const MAIN_TABLE: u8 = 254;
const FROM_DHCP: u8 = 16;
const UNIVERSE: u8 = 0;
const UNICAST: u8 = 1;

/// An address of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// Index of the link.
    pub index: u32,
    /// The address.
    pub ip: Ipv4Addr,
    /// Length of the network's prefix, up to 32.
    pub prefix: u8,
}

/// Adds an address to a link; succeeds if it is there already.
pub(crate) fn add_address(address: Address) -> Result<(), NetlinkError> {
    Netlink::open(ROUTE)?.replace(NEW_ADDRESS, &address.message())
}

/// Removes an address from a link, with the routes that depend on it.
pub(crate) fn remove_address(address: Address) -> Result<(), NetlinkError> {
    Netlink::open(ROUTE)?.call(REMOVE_ADDRESS, &address.message()).map(drop)
}

/// Adds a default route via `gateway`. Of several links, the one with the lowest index is
/// preferred.
pub(crate) fn add_default_route(index: u32, gateway: Ipv4Addr) -> Result<(), NetlinkError> {
    let header = [INET, 0, 0, 0, MAIN_TABLE, FROM_DHCP, UNIVERSE, UNICAST, 0, 0, 0, 0];
    let route = [
        header.to_vec(),
        message::attribute(OUTGOING, &index.to_ne_bytes()),
        message::attribute(GATEWAY, &gateway.octets()),
        message::attribute(PRIORITY, &index.to_ne_bytes()),
    ];
    Netlink::open(ROUTE)?.replace(NEW_ROUTE, &route.concat())
}

impl Address {
    /// `struct ifaddrmsg` and its attributes.
    fn message(self) -> Vec<u8> {
        let host = u32::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0);
        let broadcast = Ipv4Addr::from_bits(self.ip.to_bits() | host);
        let header = [[INET, self.prefix, 0, UNIVERSE], self.index.to_ne_bytes()].concat();
        [
            header,
            message::attribute(ADDRESS, &self.ip.octets()),
            message::attribute(LOCAL, &self.ip.octets()),
            message::attribute(BROADCAST, &broadcast.octets()),
        ]
        .concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broadcast_address_is_that_of_the_prefix() {
        let table = [(24, [10, 0, 2, 255]), (32, [10, 0, 2, 15]), (0, [255; 4])];
        for (prefix, expected) in table {
            let address = Address { index: 2, ip: Ipv4Addr::new(10, 0, 2, 15), prefix };
            let message = address.message();
            assert_eq!(message[..8], [2, prefix, 0, 0, 2, 0, 0, 0]);
            assert_eq!(message::find(&message[8..], BROADCAST), Some(&expected[..]), "/{prefix}");
        }
    }
}
