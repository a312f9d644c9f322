//! What a server assigns.

use super::{packet::Answer, routes::routes};
use crate::{init::resolvers, netlink::Route};
use metal_wire::v4::code;
use std::{net::Ipv4Addr, time::Duration};

/// Leases without a time, or without an end, are renewed after a day.
const LONGEST: Duration = Duration::from_hours(24);
/// Shorter leases are treated as this long, so that a server is not asked incessantly.
const SHORTEST: Duration = Duration::from_secs(10);
/// If the server sends no mask.
const PREFIX: u8 = 24;
/// What every host must be able to receive (RFC 791, section 3.1). RFC 2132, section 5.1, allows less,
/// which other clients ignore as well.
const LEAST_MTU: u16 = 576;

/// An address, and the settings that come with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) ip: Ipv4Addr,
    pub(super) prefix: u8,
    pub(super) server: Ipv4Addr,
    pub(super) routes: Vec<Route>,
    /// The MTU of the link, in bytes.
    pub(super) mtu: Option<u16>,
    pub(super) resolvers: Vec<Ipv4Addr>,
    /// How long it is valid.
    pub(super) time: Duration,
    /// When to renew it.
    pub(super) renewal: Duration,
}

impl Lease {
    /// Reads an OFFER or ACK; `None` if it assigns no address, as one of a ProxyDHCP server does
    /// not.
    pub(super) fn read(answer: &Answer) -> Option<Self> {
        let ip = answer.yiaddr();
        let usable = !ip.is_unspecified() && !ip.is_broadcast() && !ip.is_multicast();
        let mask = answer.address(code::SUBNET_MASK).map(Ipv4Addr::to_bits);
        let prefix = mask.filter(|mask| mask.leading_ones() + mask.trailing_zeros() == 32);
        let prefix = prefix.and_then(|mask| u8::try_from(mask.leading_ones()).ok());
        let seconds = |code| answer.number(code).map(|it| Duration::from_secs(it.into()));
        let time = seconds(code::LEASE_TIME).unwrap_or(LONGEST).clamp(SHORTEST, LONGEST);
        // As if it were not given where nothing would be left of the lease by then.
        let renewal = seconds(code::RENEWAL).filter(|renewal| *renewal < time);
        let renewal = renewal.unwrap_or(time / 2).max(SHORTEST / 2);
        usable.then_some(Self {
            ip,
            prefix: prefix.unwrap_or(PREFIX),
            server: answer.address(code::SERVER_ID)?,
            routes: routes(answer),
            mtu: answer.short(code::MTU).filter(|mtu| *mtu >= LEAST_MTU),
            resolvers: answer.addresses(code::DNS).take(resolvers::MOST).collect(),
            time,
            renewal,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::packet::tests::{MAC, XID, answer},
        *,
    };
    use metal_wire::v4::MessageType;

    const KIND: (u8, &[u8]) = (code::MESSAGE_TYPE, &[MessageType::Ack as u8]);
    const SERVER: (u8, &[u8]) = (code::SERVER_ID, &[10, 0, 2, 2]);

    #[test]
    fn everything_that_a_server_says_is_kept() {
        let lease = read(
            [10, 0, 2, 15],
            &[
                KIND,
                SERVER,
                (code::SUBNET_MASK, &[255, 255, 252, 0]),
                (code::ROUTER, &[10, 0, 2, 1, 10, 0, 2, 9]),
                (code::DNS, &[1; 20]),
                (code::MTU, &9000_u16.to_be_bytes()),
                (code::LEASE_TIME, &600_u32.to_be_bytes()),
            ],
        );
        let expected = Lease {
            ip: [10, 0, 2, 15].into(),
            prefix: 22,
            server: [10, 0, 2, 2].into(),
            routes: vec![Route {
                to: Ipv4Addr::UNSPECIFIED,
                prefix: 0,
                via: Some([10, 0, 2, 1].into()),
            }],
            mtu: Some(9000),
            resolvers: vec![[1; 4].into(); resolvers::MOST],
            time: Duration::from_mins(10),
            renewal: Duration::from_mins(5),
        };
        assert_eq!(lease, Some(expected));
    }

    #[test]
    fn times_without_sense_make_us_ask_neither_without_pause_nor_too_late() {
        let times = |time: u32, renewal: u32| {
            let (time, renewal) = (time.to_be_bytes(), renewal.to_be_bytes());
            let times = [(code::LEASE_TIME, &time[..]), (code::RENEWAL, &renewal)];
            let lease = read([10, 0, 2, 15], &[KIND, SERVER, times[0], times[1]]).unwrap();
            (lease.time.as_secs(), lease.renewal.as_secs())
        };
        assert_eq!(times(0, 0), (10, 5));
        assert_eq!(times(100, 99), (100, 99));
        assert_eq!(times(100, 100), (100, 50));
        assert_eq!(times(100, 1000), (100, 50));
        // A week, of which we count a day.
        assert_eq!(times(604_800, 302_400), (86400, 43200));
        assert_eq!(times(u32::MAX, u32::MAX), (86400, 43200));
    }

    #[test]
    fn a_mask_with_holes_is_none() {
        let lease = read([10, 0, 2, 15], &[KIND, SERVER, (code::SUBNET_MASK, &[255, 0, 255, 0])]);
        assert_eq!(lease.unwrap().prefix, PREFIX);
    }

    #[test]
    fn an_mtu_that_no_host_has_is_none() {
        for (bytes, expected) in [
            (&[2, 64][..], Some(576)),
            (&[2, 63], None),
            (&[0, 68], None),
            (&[9], None),
            (&[255, 255], Some(65535)),
        ] {
            let lease = read([10, 0, 2, 15], &[KIND, SERVER, (code::MTU, bytes)]);
            assert_eq!(lease.unwrap().mtu, expected, "{bytes:?}");
        }
    }

    #[test]
    fn an_answer_without_address_or_server_is_no_lease() {
        assert_eq!(read([0; 4], &[KIND, SERVER]), None);
        assert_eq!(read([255; 4], &[KIND, SERVER]), None);
        assert_eq!(read([10, 0, 2, 15], &[KIND]), None);
    }

    fn read(yiaddr: [u8; 4], options: &[(u8, &[u8])]) -> Option<Lease> {
        Lease::read(&Answer::parse(&answer(yiaddr, options), XID, MAC)?)
    }
}
