//! Nothing that arrives makes the server panic, or remember more than it has addresses.

use super::*;

/// A generator of the same numbers on every run (Knuth, MMIX).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

#[test]
fn broken_structure_is_named() {
    let whole = discover(1).encode();
    let with = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        Packet::parse(&bytes)
    };
    assert_eq!(Packet::parse(&[]), Err(Malformed::TooShort));
    assert_eq!(Packet::parse(&whole[..239]), Err(Malformed::TooShort));
    assert_eq!(with(236, 0), Err(Malformed::NoCookie));
    assert_eq!(with(2, 17), Err(Malformed::HardwareAddress));
    assert_eq!(with(241, 200), Err(Malformed::Truncated(code::MESSAGE_TYPE)));
    assert_eq!(Packet::parse(&whole[..241]), Err(Malformed::Truncated(code::MESSAGE_TYPE)));
}

#[test]
fn packets_cut_anywhere_do_not_panic() {
    let mut lab = Lab::new();
    for bytes in captures::all() {
        for end in 0..bytes.len() {
            if let Ok(packet) = Packet::parse(&bytes[..end]) {
                lab.send(&packet);
            }
        }
    }
}

#[test]
fn packets_with_any_bytes_do_not_panic() {
    let mut lab = Lab::new();
    let mut dice = Dice(1);
    let captures = captures::all();
    for _ in 0..50_000 {
        let mut bytes = captures[dice.roll(captures.len())].clone();
        for _ in 0..=dice.roll(8) {
            // Fixed fields or options, evenly.
            let at = if dice.roll(2) == 0 { dice.roll(bytes.len()) } else { 240 + dice.roll(60) };
            bytes[at] = u8::try_from(dice.roll(256)).unwrap();
        }
        if let Ok(packet) = Packet::parse(&bytes) {
            lab.send(&packet);
            let encoded = packet.encode();
            assert_eq!(Packet::parse(&encoded), Ok(packet));
        }
    }
    assert!(lab.leases.len() <= 3 + 11 + 2, "{}", lab.leases.len());
}

#[test]
fn sub_options_that_overrun_are_ignored() {
    let mut lab = Lab::new();
    for data in [&[5][..], &[5, 4, 10], &[5, 3, 1, 2, 3], &[11, 200], &[0; 255]] {
        let mut packet = discover(1);
        packet.giaddr = [10, 77, 0, 254].into();
        packet.options.set(code::RELAY, data);
        assert_eq!(lab.answer(&packet).packet.options.get(code::RELAY), Some(data));
    }
    for class in [&[200, 1][..], &[0], &[4, b'i', b'P'], &[255; 255]] {
        let mut packet = discover(1);
        packet.options.set(code::USER_CLASS, class);
        assert_eq!(lab.answer(&packet).packet.options.get(code::BOOT_FILE), None);
    }
}

#[test]
fn a_thousand_clients_with_one_mac_are_one_client() {
    let mut lab = Lab::new();
    for id in 0..1000_u16 {
        let mut packet = discover(1);
        packet.options.set(code::CLIENT_ID, id.to_be_bytes());
        let offer = lab.answer(&packet);
        let mut packet = select(1, offer.packet.yiaddr);
        packet.options.set(code::CLIENT_ID, id.to_be_bytes());
        assert_eq!(lab.answer(&packet).kind, MessageType::Ack);
    }
    assert_eq!(lab.leases.len(), 1);
}

#[test]
fn a_flood_of_clients_takes_no_more_than_the_addresses() {
    let mut lab = Lab::new();
    for id in 0..10_000_u16 {
        let [high, low] = id.to_be_bytes();
        let packet = packet(MessageType::Discover, MacAddr([6, 0, 0, 0, high, low]));
        let answer = lab.send(&packet).answer.map(|reply| reply.kind);
        let expected = if id < 2 { Ok(MessageType::Offer) } else { Err(Silence::NoFreeAddress) };
        assert_eq!(answer, expected, "{id}");
    }
    assert_eq!(lab.leases.len(), 2);
    // Offers that nobody takes are free again.
    lab.pass(62);
    assert_eq!(lab.answer(&discover(1)).kind, MessageType::Offer);
}
