//! One sender that impersonates many clients: others are served, and little is remembered.

use super::*;
use crate::{Client, lease::MOST_OFFERS};

/// More addresses than there are offers that we remember.
const LARGE: &str = "
dhcp6:
  interfaces: [eth1]
  subnets:
    - subnet: fd77::/64
      ranges: ['fd77::1:0-fd77::1:7fff']
";

/// Clients that are offered something, and never request it.
fn flood(lab: &mut Lab, ids: std::ops::Range<u16>) {
    for id in ids {
        let from = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 1, 2, id);
        let mut packet = solicit(7);
        packet.options.remove(code::CLIENT_ID);
        packet.options.push(code::CLIENT_ID, [&[0, 2][..], &id.to_be_bytes()].concat());
        let reply = lab.send(&packet, from).answer.unwrap();
        assert_eq!(reply.kind, MessageType::Advertise, "{id}");
    }
}

#[test]
fn a_thousand_clients_with_one_mac_are_one_client() {
    let mut lab = Lab::new();
    for id in 0..1000_u16 {
        let mut packet = solicit(1);
        packet.options.remove(code::CLIENT_ID);
        packet.options.push(code::CLIENT_ID, [&[0, 2][..], &id.to_be_bytes()].concat());
        let offered = address(&lab.answer(&packet, 1)).unwrap();
        packet.kind = MessageType::Request as u8;
        packet.options.push(code::SERVER_ID, SERVER_ID);
        assert_eq!(address(&lab.answer(&packet, 1)), Some(offered));
    }
    assert_eq!(lab.leases.len(), 1);
}

#[test]
fn a_flood_of_clients_takes_no_more_than_the_addresses_and_keeps_nobody_from_them() {
    let mut lab = Lab::new();
    flood(&mut lab, 0..5_000);
    let offered = address(&lab.answer(&solicit(1), 1)).unwrap();
    // EDK2 takes four seconds to request what it was offered.
    flood(&mut lab, 5_000..10_000);
    lab.pass(4);
    assert_eq!(address(&lab.answer(&request(1, offered), 1)), Some(offered));
    flood(&mut lab, 10_000..11_000);
    let renewed = lab.answer(&to_server(MessageType::Renew, 1, offered), 1);
    assert_eq!(address(&renewed), Some(offered));
    assert_eq!(lab.leases.len(), 2);
}

#[test]
fn an_offer_that_was_forgotten_in_a_flood_is_taken_by_who_it_was_made_to() {
    let mut lab = Lab::with(LARGE);
    let offered = address(&lab.answer(&solicit(1), 1)).unwrap();
    lab.pass(1);
    flood(&mut lab, 0..u16::try_from(MOST_OFFERS + 1_000).unwrap());
    assert!(lab.leases.owned_by(&Client::Mac(mac(1))).next().is_none(), "it is forgotten");
    lab.pass(3);
    assert_eq!(address(&lab.answer(&request(1, offered), 1)), Some(offered));
    assert_eq!(address(&lab.answer(&request(2, offered), 2)), None, "it is taken");
    // After the flood, nobody gets what it was not offered.
    lab.pass(62);
    let reply = lab.answer(&request(2, ip("fd77::1:5")), 2);
    assert_eq!((address(&reply), status(&reply)), (None, (None, Some(NO_ADDRS))));
    lab.bind(2);
}

#[test]
fn one_sender_that_takes_every_lease_takes_none_that_somebody_has() {
    let mut lab = Lab::new();
    let mine = lab.bind(1);
    for id in 0..2_000_u16 {
        let from = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 1, 2, id);
        bind_as(&mut lab, id, from);
    }
    assert_eq!(lab.leases.len(), 2, "as many as there are addresses");
    let renewed = lab.answer(&to_server(MessageType::Renew, 1, mine), 1);
    assert_eq!(address(&renewed), Some(mine));
    assert_eq!(lab.bind(0x99), ip("fd77::9"), "what is reserved is reserved");
    // It ends without intervention: nobody renews the leases of the flood.
    lab.pass(3_601);
    assert_ne!(lab.bind(2), mine);
}

#[test]
fn a_flood_of_requests_that_no_offer_preceded_takes_no_address() {
    let mut lab = Lab::new();
    for host in 0x10..0x90 {
        for address in ["fd77::100", "fd77::101", "fd77::102"].map(ip) {
            let mut nameless = request(host, address);
            nameless.options.remove(code::IA_NA);
            nameless.options.push(code::IA_NA, ia(host, None));
            let renew = to_server(MessageType::Renew, host, address);
            let rebind = to_any(MessageType::Rebind, host, address);
            for packet in [request(host, address), nameless, renew, rebind] {
                // Under its own name, and all from one address.
                assert_eq!(lab.decide(&packet, ip("fe80::1:2:3")).changes, []);
                let decision = lab.send(&packet, link_local(host));
                assert_eq!(decision.changes, [], "nothing to remember, nothing to write down");
                let (_, status) = status(&decision.answer.unwrap());
                assert!(matches!(status, Some(NO_ADDRS | NO_BINDING)), "{status:?}");
            }
        }
    }
    assert!(lab.leases.is_empty());
    assert_ne!(lab.bind(1), lab.bind(2), "others are served");
}

/// Sends SOLICIT and REQUEST of a client with this number.
fn bind_as(lab: &mut Lab, id: u16, from: Ipv6Addr) {
    let mut packet = solicit(7);
    packet.options.remove(code::CLIENT_ID);
    packet.options.push(code::CLIENT_ID, [&[0, 2][..], &id.to_be_bytes()].concat());
    let offered = lab.send(&packet, from).answer.ok().and_then(|reply| address(&reply));
    packet.kind = MessageType::Request as u8;
    packet.options.push(code::SERVER_ID, SERVER_ID);
    packet.options.remove(code::IA_NA);
    packet.options.push(code::IA_NA, ia(7, offered));
    lab.send(&packet, from);
}
