//! IPv4 addresses by `rtnetlink(7)`.

use super::{
    ROUTE, message,
    socket::{Netlink, NetlinkError},
};
use std::net::Ipv4Addr;

/// `RTM_NEWADDR` and `RTM_DELADDR` (`linux/rtnetlink.h`), and the address family of IPv4.
const NEW_ADDRESS: u16 = 20;
const REMOVE_ADDRESS: u16 = 21;
const INET: u8 = 2;

const ADDRESS: u16 = 1;
const LOCAL: u16 = 2;
const BROADCAST: u16 = 4;

const UNIVERSE: u8 = 0;

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

impl Address {
    /// `struct ifaddrmsg` and its attributes.
    fn message(self) -> Vec<u8> {
        let header = [[INET, self.prefix, 0, UNIVERSE], self.index.to_ne_bytes()].concat();
        let broadcast = self.broadcast().map(|ip| message::attribute(BROADCAST, &ip.octets()));
        [
            header,
            message::attribute(ADDRESS, &self.ip.octets()),
            message::attribute(LOCAL, &self.ip.octets()),
            broadcast.unwrap_or_default(),
        ]
        .concat()
    }

    /// Networks of one or two addresses have none: it would be the address of a machine (RFC 3021,
    /// section 2.2).
    fn broadcast(self) -> Option<Ipv4Addr> {
        let host = u32::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0);
        (host > 1).then(|| Ipv4Addr::from_bits(self.ip.to_bits() | host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broadcast_address_is_that_of_the_prefix_unless_it_is_a_machine() {
        let table = [
            (24, Some([10, 0, 2, 255])),
            (30, Some([10, 0, 2, 15])),
            (31, None),
            (32, None),
            (0, Some([255; 4])),
        ];
        for (prefix, expected) in table {
            let address = Address { index: 2, ip: Ipv4Addr::new(10, 0, 2, 14), prefix };
            let message = address.message();
            assert_eq!(message[..8], [2, prefix, 0, 0, 2, 0, 0, 0]);
            let found = message::find(&message[8..], BROADCAST);
            assert_eq!(found, expected.as_ref().map(|it| &it[..]), "/{prefix}");
        }
    }
}
