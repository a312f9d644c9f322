//! No input makes the server panic, or remember more than it has addresses.

use super::*;
use metal_core::dice::SeededRng;

/// The number of addresses in the configuration: ranges and reservations.
const MOST: usize = 3 + 17 + 1;

#[test]
fn broken_structure_is_named() {
    let error = |bytes: &[u8]| Packet::parse(bytes).unwrap_err();
    assert_eq!(error(&[]), PacketError::TooShort);
    assert_eq!(error(&[1, 0, 0]), PacketError::TooShort);
    assert_eq!(error(&[1, 0, 0, 0, 0]), PacketError::TooShort);
    assert_eq!(error(&[1, 0, 0, 0, 0, 3]), PacketError::Truncated(3));
    assert_eq!(error(&[1, 0, 0, 0, 0, 3, 0, 1]), PacketError::Truncated(3));
    assert_eq!(error(&[12; 33]), PacketError::TooShort);
    assert_eq!(error(&[&[12, 0][..], &[0; 32]].concat()), PacketError::NoMessage);
    assert_eq!(error(&[&[12, 0][..], &[0; 32], &[0, 9, 0, 0]].concat()), PacketError::TooShort);
}

#[test]
fn packets_cut_anywhere_do_not_panic() {
    let mut lab = Lab::new();
    for bytes in captures::all() {
        let packet = Packet::parse(&bytes).unwrap();
        let relayed = relayed(relayed(packet, SERVER, link_local(1)), SERVER, SERVER).encode();
        for bytes in [bytes, relayed] {
            for end in 0..bytes.len() {
                if let Ok(packet) = Packet::parse(&bytes[..end]) {
                    lab.send(&packet, link_local(1));
                }
            }
        }
    }
}

#[test]
fn packets_with_any_bytes_do_not_panic() {
    let mut lab = Lab::new();
    let mut dice = SeededRng(1);
    let captures = captures::all();
    for _ in 0..50_000 {
        let mut bytes = captures[dice.roll(captures.len())].clone();
        for _ in 0..=dice.roll(8) {
            let at = dice.roll(bytes.len());
            bytes[at] = u8::try_from(dice.roll(256)).unwrap();
        }
        if let Ok(packet) = Packet::parse(&bytes) {
            lab.send(&packet, link_local(1));
            assert_eq!(Packet::parse(&packet.encode()), Ok(packet));
        }
    }
    assert!(lab.leases.len() <= MOST, "{}", lab.leases.len());
}

#[test]
fn associations_that_are_cut_anywhere_are_not_answered() {
    let lab = Lab::new();
    let whole = ia(1, Some(ip("fd77::100")));
    for end in 0..whole.len() {
        let mut packet = message(MessageType::Solicit, 1);
        packet.options.push(code::IA_NA, &whole[..end]);
        let answer = lab.decide(&packet, link_local(1)).answer;
        match end {
            // Complete, but without an address.
            12 => assert!(answer.is_ok()),
            _ => assert_eq!(answer, Err(DropReason::BrokenOption), "{end}"),
        }
    }
}

#[test]
fn identifiers_of_any_length_and_classes_that_overrun_are_borne() {
    let mut lab = Lab::new();
    for (len, is_served) in [(0, false), (2, false), (3, true), (130, true), (131, false)] {
        let mut packet = solicit(1);
        packet.options.remove(code::CLIENT_ID);
        packet.options.push(code::CLIENT_ID, vec![0; len]);
        assert_eq!(lab.send(&packet, link_local(1)).answer.is_ok(), is_served, "{len}");
    }
    for class in [&[0, 200, 1][..], &[0], &[0, 5, b'i', b'P'], &[255; 255]] {
        for code in [code::USER_CLASS, code::VENDOR_CLASS, code::OPTION_REQUEST] {
            let mut packet = solicit(1);
            packet.options.push(code, class);
            assert_eq!(lab.answer(&packet, 1).packet.options.get(code::BOOT_FILE), None);
        }
    }
}

#[test]
fn a_packet_full_of_associations_gets_one_address_and_a_short_answer() {
    let mut lab = Lab::new();
    let mut packet = message(MessageType::Solicit, 1);
    for iaid in 0..250 {
        packet.options.push(code::IA_NA, ia(iaid, None));
        packet.options.push(code::IA_PD, ia(iaid, None));
    }
    let reply = lab.send(&packet, ip("fe80::1")).answer.unwrap();
    assert!(reply.packet.encode().len() < 1232, "it fits into one frame");
    assert_eq!(lab.leases.len(), 1);
}

#[test]
fn a_release_of_many_associations_and_none_is_answered_for_each() {
    let mut lab = Lab::new();
    let mine = lab.bind(1);
    let mut packet = message(MessageType::Release, 1);
    packet.options.push(code::SERVER_ID, SERVER_ID);
    for iaid in 2..200 {
        packet.options.push(code::IA_NA, ia(iaid, None));
    }
    assert_eq!(status(&lab.answer(&packet, 1)), (Some(0), Some(NO_BINDING)));
    assert!(lab.leases.get(mine).unwrap().is_bound(lab.now));
}
