//! Ever new clients make us forget what was offered to others before.

use super::*;
use crate::lease::MOST_OFFERS;
use metal_core::dice::SeededRng;
use std::sync::LazyLock;

/// More addresses than there are offers that we remember.
const LARGE: &str = "
interfaces: [eth1]
subnets:
  - subnet: 10.0.0.0/8
    ranges: [10.1.0.0-10.1.127.255]
    reservations:
      - { mac: '02:00:00:00:00:99', ip: 10.1.0.9 }
";

/// Clients that are offered something, and never request it.
fn flood(lab: &mut Lab) {
    let mut dice = SeededRng(1);
    for _ in 0..MOST_OFFERS + 1_000 {
        let mut octets: [u8; 6] = std::array::from_fn(|_| u8::try_from(dice.roll(256)).unwrap());
        octets[0] = 6;
        let packet = packet(MessageType::Discover, MacAddr(octets));
        assert_eq!(lab.answer(&packet).kind, MessageType::Offer);
    }
}

/// The leases of [`flooded`], and the address. All tests share one flood, which takes a while.
static FLOODED: LazyLock<(Leases, Ipv4Addr)> = LazyLock::new(|| {
    let mut lab = Lab::with(LARGE);
    let offered = lab.answer(&discover(1)).packet.yiaddr;
    lab.pass(1);
    flood(&mut lab);
    assert!(lab.leases.owned_by(&Client::Mac(mac(1))).next().is_none(), "it is forgotten");
    (lab.leases, offered)
});

/// A server that has offered an address to client 1, and has forgotten that in a flood.
fn flooded() -> (Lab, Ipv4Addr) {
    let (leases, offered) = &*FLOODED;
    let mut lab = Lab { leases: leases.clone(), ..Lab::with(LARGE) };
    lab.pass(4);
    (lab, *offered)
}

/// Like [`discover`], of a client that wishes an address.
fn wish(last: u8, address: Ipv4Addr) -> Packet {
    let mut packet = discover(last);
    packet.options.set(code::REQUESTED_ADDRESS, address.octets());
    packet
}

#[test]
fn an_offer_that_was_forgotten_in_a_flood_is_taken_by_who_it_was_made_to() {
    let (mut lab, offered) = flooded();
    let ack = lab.answer(&select(1, offered));
    assert_eq!((ack.kind, ack.packet.yiaddr), (MessageType::Ack, offered));
    assert!(lab.leases.get(offered).unwrap().is_bound(lab.now));
    assert_eq!(lab.answer(&select(2, offered)).kind, MessageType::Nak, "it is taken");
}

#[test]
fn in_a_flood_nobody_gets_what_would_not_be_offered_to_it() {
    let (mut lab, offered) = flooded();
    lab.leases.withdraw(offered);
    for stranger in [8, 9] {
        let decision = lab.send(&select(stranger, offered));
        assert_eq!(decision.changes, []);
        assert_eq!(decision.answer.unwrap().kind, MessageType::Nak);
    }
    assert_eq!(lab.answer(&select(1, offered)).kind, MessageType::Ack);
}

#[test]
fn in_another_subnet_nobody_notices_the_flood() {
    let small = "  - { subnet: 192.0.2.0/24, ranges: [192.0.2.100-192.0.2.199] }\n";
    let mut lab = Lab::with(&format!("{LARGE}{small}"));
    let link = lab.arrival;
    let there = Arrival { server: [192, 0, 2, 1].into(), ..link };
    lab.arrival = there;
    let clients: Vec<_> = (1..=90).collect();
    let offered: Vec<_> =
        clients.iter().map(|client| lab.answer(&discover(*client)).packet.yiaddr).collect();
    lab.pass(1);
    lab.arrival = link;
    flood(&mut lab);
    lab.arrival = there;
    lab.pass(3);
    for (client, offered) in clients.into_iter().zip(offered) {
        let mut request = select(client, offered);
        request.options.set(code::SERVER_ID, [192, 0, 2, 1]);
        assert_eq!(lab.answer(&request).kind, MessageType::Ack, "{client}");
    }
}

#[test]
fn a_forgotten_offer_that_was_made_again_goes_to_one_of_both_and_to_nobody_else() {
    for first in [1, 2] {
        let (mut lab, offered) = flooded();
        lab.leases.withdraw(offered);
        assert_eq!(lab.answer(&wish(2, offered)).packet.yiaddr, offered);
        // For these two, one would be searched far from there.
        for stranger in [8, 9] {
            assert_eq!(lab.answer(&select(stranger, offered)).kind, MessageType::Nak);
        }
        assert_eq!(lab.answer(&select(first, offered)).kind, MessageType::Ack);
        assert_eq!(lab.answer(&select(3 - first, offered)).kind, MessageType::Nak);
    }
}

#[test]
fn a_flood_opens_no_address_that_is_not_free() {
    let (mut lab, _) = flooded();
    let [declined, bound, recorded] = [5, 6, 7].map(|last| Ipv4Addr::new(10, 1, 50, last));
    for address in [declined, bound, recorded] {
        lab.leases.withdraw(address);
    }
    for (client, address) in [(5, declined), (6, bound)] {
        assert_eq!(lab.answer(&wish(client, address)).packet.yiaddr, address);
        assert_eq!(lab.answer(&select(client, address)).kind, MessageType::Ack);
    }
    lab.send(&decline(5, declined));
    lab.leases.keep_for([(recorded, mac(0x50))].into());
    let [reserved, outside] = [[10, 1, 0, 9], [10, 1, 128, 0]].map(Ipv4Addr::from);
    for address in [declined, bound, recorded, reserved, outside, SERVER] {
        assert_eq!(lab.answer(&select(1, address)).kind, MessageType::Nak, "{address}");
    }
}

#[test]
fn after_a_flood_nobody_gets_what_it_was_not_offered() {
    let (mut lab, offered) = flooded();
    lab.pass(62);
    let decision = lab.send(&select(1, offered));
    assert_eq!(decision.changes, []);
    assert_eq!(decision.answer.unwrap().kind, MessageType::Nak);
    // It starts over.
    lab.bind(1);
}

#[test]
fn an_offer_of_the_process_before_is_taken_while_it_lasts() {
    let offered = Lab::new().answer(&discover(1)).packet.yiaddr;
    for (seconds, expected) in
        [(0, MessageType::Ack), (59, MessageType::Ack), (60, MessageType::Nak)]
    {
        let mut lab = Lab::new();
        lab.leases.may_have_offered(lab.now);
        lab.pass(seconds);
        assert_eq!(lab.answer(&select(1, offered)).kind, expected, "{seconds} s");
        assert_eq!(lab.bind(1), offered);
    }
}
