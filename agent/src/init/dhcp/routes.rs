//! The routes that a server assigns: those of option 121 (RFC 3442), or the default route via the first
//! router.

use super::packet::Answer;
use crate::netlink::Route;
use metal_wire::v4::code;
use std::net::Ipv4Addr;

const LONGEST_PREFIX: u8 = 32;

/// The routes in an answer. As a packet has less than 1,500 bytes, there are less than 300.
pub(super) fn routes(answer: &Answer) -> Vec<Route> {
    let routes = answer.value(code::ROUTES).and_then(classless);
    routes.unwrap_or_else(|| default_route(answer).into_iter().collect())
}

fn default_route(answer: &Answer) -> Option<Route> {
    let router = answer.address(code::ROUTER).filter(|router| !router.is_unspecified())?;
    Some(Route { to: Ipv4Addr::UNSPECIFIED, prefix: 0, via: Some(router) })
}

/// Routes in the form of RFC 3442: length of the prefix, as many octets as it needs, gateway. Of two to one
/// destination the first one counts. `None` if they are malformed, or there are none: then the router option
/// counts.
fn classless(mut value: &[u8]) -> Option<Vec<Route>> {
    let mut routes: Vec<Route> = Vec::new();
    while let Some((prefix, rest)) = value.split_first() {
        let prefix = Some(*prefix).filter(|prefix| *prefix <= LONGEST_PREFIX)?;
        let (significant, rest) = rest.split_at_checked(usize::from(prefix.div_ceil(8)))?;
        let (gateway, rest) = rest.split_first_chunk::<4>()?;
        let mut to = [0; 4];
        to[..significant.len()].copy_from_slice(significant);
        let to = Ipv4Addr::from_bits(u32::from_be_bytes(to) & mask(prefix));
        // Zero means that the destination is on the link.
        let via = Some(Ipv4Addr::from(*gateway)).filter(|via| !via.is_unspecified());
        if !routes.iter().any(|other| (other.to, other.prefix) == (to, prefix)) {
            routes.push(Route { to, prefix, via });
        }
        value = rest;
    }
    Some(routes).filter(|routes| !routes.is_empty())
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(u32::from(LONGEST_PREFIX - prefix)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{
        super::packet::tests::{MAC, XID, answer},
        *,
    };
    use metal_wire::v4::MessageType;

    const ROUTER: (u8, &[u8]) = (code::ROUTER, &[10, 0, 2, 1, 10, 0, 2, 9]);

    #[test]
    fn routes_are_read_as_rfc_3442_writes_them() {
        for (value, expected) in [
            (&[0, 10, 0, 2, 2][..], route([0; 4], 0, Some([10, 0, 2, 2]))),
            (&[8, 10, 10, 0, 2, 2], route([10, 0, 0, 0], 8, Some([10, 0, 2, 2]))),
            (&[16, 10, 17, 10, 0, 2, 2], route([10, 17, 0, 0], 16, Some([10, 0, 2, 2]))),
            (&[24, 10, 27, 129, 0, 0, 0, 0], route([10, 27, 129, 0], 24, None)),
            (
                &[25, 10, 229, 0, 255, 10, 0, 2, 2],
                route([10, 229, 0, 128], 25, Some([10, 0, 2, 2])),
            ),
            (&[32, 172, 31, 1, 1, 0, 0, 0, 0], route([172, 31, 1, 1], 32, None)),
        ] {
            assert_eq!(read(&[(code::ROUTES, value), ROUTER]), [expected], "{value:?}");
        }
    }

    #[test]
    fn the_router_counts_where_there_are_no_routes_only() {
        let default = route([0; 4], 0, Some([10, 0, 2, 1]));
        assert_eq!(read(&[ROUTER]), [default]);
        assert_eq!(read(&[(code::ROUTER, &[0; 4])]), []);
        assert_eq!(read(&[]), []);
        let malformed = [&[][..], &[33, 1, 2, 3, 4, 5, 10, 0, 2, 2], &[8, 10, 10, 0, 2], &[24, 10]];
        for value in malformed {
            assert_eq!(read(&[(code::ROUTES, value), ROUTER]), [default], "{value:?}");
        }
    }

    #[test]
    fn of_two_routes_to_one_destination_the_first_one_counts() {
        let value = [8, 10, 10, 0, 2, 2, 8, 10, 10, 0, 2, 3, 0, 10, 0, 2, 2];
        let first = route([10, 0, 0, 0], 8, Some([10, 0, 2, 2]));
        let default = route([0; 4], 0, Some([10, 0, 2, 2]));
        assert_eq!(read(&[(code::ROUTES, &value)]), [first, default]);
    }

    fn read(options: &[(u8, &[u8])]) -> Vec<Route> {
        let kind: (u8, &[u8]) = (code::MESSAGE_TYPE, &[MessageType::Ack as u8]);
        let bytes = answer([10, 0, 2, 15], &[&[kind], options].concat());
        routes(&Answer::parse(&bytes, XID, MAC).unwrap())
    }

    fn route(to: [u8; 4], prefix: u8, via: Option<[u8; 4]>) -> Route {
        Route { to: to.into(), prefix, via: via.map(Ipv4Addr::from) }
    }
}
