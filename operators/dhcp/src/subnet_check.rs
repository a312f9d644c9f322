//! Whether a packet comes from the subnet that it claims, the same for IPv4 and IPv6.
//!
//! DHCP proves nothing. All that can be checked is the way that a packet took: directly from the
//! link, or through a relay that sends from an address which acts for the subnet. Anybody can write
//! any `giaddr` or `link-address` into a packet.

use crate::address::Address;
use std::ops::RangeInclusive;

/// The way that a packet took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via<A> {
    /// Directly from the client.
    Direct {
        /// Whether there is no router in between, as far as the packet shows.
        is_here: bool,
    },
    /// Through a relay that gives this as its own address, or as that of the client's link.
    Relayed(A),
}

/// Whether a packet can be trusted to come from the subnet with these `addresses`. `relays` are the
/// source addresses of relays that may act for it. Any other relay has to send from the address
/// that it gives, which has to be in the subnet.
pub(crate) fn is_of<A: Address>(
    addresses: &RangeInclusive<A>,
    way: Via<A>,
    from: A,
    mut relays: impl Iterator<Item = A>,
) -> bool {
    match way {
        Via::Direct { is_here } => is_here,
        Via::Relayed(named) => {
            (named == from && addresses.contains(&named)) || relays.any(|relay| relay == from)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const RELAYS: [&str; 2] = ["10.9.0.1", "fd99::1"];

    fn believed(net: [&str; 2], named: Option<&str>, from: &str) -> bool {
        fn of<A: Address + std::str::FromStr>(
            [first, last]: [&str; 2],
            n: Option<&str>,
            f: &str,
        ) -> bool {
            let parse = |text: &str| text.parse().ok().unwrap();
            let way = n.map_or(Via::Direct { is_here: true }, |named| Via::Relayed(parse(named)));
            let relays = RELAYS.into_iter().filter_map(|text| text.parse::<A>().ok());
            is_of(&(parse(first)..=parse(last)), way, parse(f), relays)
        }
        let is_v4 = net[0].contains('.');
        if is_v4 { of::<Ipv4Addr>(net, named, from) } else { of::<Ipv6Addr>(net, named, from) }
    }

    #[test]
    fn a_relay_is_believed_from_the_address_that_it_names_or_from_a_listed_one() {
        for (net, inside, outside, listed) in [
            (["10.77.0.0", "10.77.0.255"], "10.77.0.254", "10.50.0.9", "10.9.0.1"),
            (["fd77::", "fd77::ffff:ffff:ffff:ffff"], "fd77::fe", "fd50::9", "fd99::1"),
        ] {
            assert!(believed(net, None, inside));
            assert!(believed(net, Some(inside), inside), "its own address");
            assert!(!believed(net, Some(inside), outside), "it is forged");
            assert!(!believed(net, Some(outside), outside), "it is the relay of something else");
            for named in [inside, outside, listed] {
                assert!(believed(net, Some(named), listed), "it is listed");
            }
            assert!(!believed(net, Some(listed), outside), "the name of a listed one is forged");
        }
    }

    #[test]
    fn a_client_is_believed_only_where_it_is() {
        let net = Ipv4Addr::new(10, 77, 0, 0)..=Ipv4Addr::new(10, 77, 0, 255);
        let from = Ipv4Addr::new(10, 77, 0, 9);
        for is_here in [true, false] {
            let relays = [from].into_iter();
            assert_eq!(is_of(&net, Via::Direct { is_here }, from, relays), is_here);
        }
    }
}
