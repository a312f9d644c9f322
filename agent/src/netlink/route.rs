//! IPv4 routes by `rtnetlink(7)`.

use super::{
    ROUTE, message,
    socket::{Netlink, NetlinkError},
};
use std::net::Ipv4Addr;

/// `RTM_NEWROUTE` and `RTM_DELROUTE` (`linux/rtnetlink.h`), and the address family of IPv4.
const NEW_ROUTE: u16 = 24;
const REMOVE_ROUTE: u16 = 25;
const INET: u8 = 2;

const DESTINATION: u16 = 1;
const OUTGOING: u16 = 4;
const GATEWAY: u16 = 5;
const PRIORITY: u16 = 6;
const MAIN_TABLE: u8 = 254;
const FROM_DHCP: u8 = 16;
const UNIVERSE: u8 = 0;
const LINK: u8 = 253;
const UNICAST: u8 = 1;
/// `RTNH_F_ONLINK`: the gateway is on the link, whatever the prefix of our address says.
const ON_LINK: u32 = 4;

/// A route over one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// Where it leads, with no bit set beyond the prefix.
    pub to: Ipv4Addr,
    /// Length of the destination's prefix, up to 32.
    pub prefix: u8,
    /// The gateway; `None` if the destination is on the link itself.
    pub via: Option<Ipv4Addr>,
}

/// Adds a route over a link, or replaces the one to the same destination. Of several links, the one
/// with the lowest index is preferred.
pub(crate) fn add_route(index: u32, route: Route) -> Result<(), NetlinkError> {
    Netlink::open(ROUTE)?.replace(NEW_ROUTE, &route.message(index))
}

/// Removes a route over a link.
pub(crate) fn remove_route(index: u32, route: Route) -> Result<(), NetlinkError> {
    Netlink::open(ROUTE)?.call(REMOVE_ROUTE, &route.message(index)).map(drop)
}

impl Route {
    /// `struct rtmsg` and its attributes.
    fn message(self, index: u32) -> Vec<u8> {
        let scope = if self.via.is_some() { UNIVERSE } else { LINK };
        let header = [INET, self.prefix, 0, 0, MAIN_TABLE, FROM_DHCP, scope, UNICAST];
        let flags = if self.via.is_some() { ON_LINK } else { 0 };
        let gateway = self.via.map(|via| message::attribute(GATEWAY, &via.octets()));
        [
            header.to_vec(),
            flags.to_ne_bytes().to_vec(),
            message::attribute(DESTINATION, &self.to.octets()),
            message::attribute(OUTGOING, &index.to_ne_bytes()),
            message::attribute(PRIORITY, &index.to_ne_bytes()),
            gateway.unwrap_or_default(),
        ]
        .concat()
    }
}
