//! No input makes the server panic, or remember more than it has addresses.

use super::*;
use metal_core::dice::SeededRng;

#[test]
fn broken_structure_is_named() {
    let whole = discover(1).encode();
    let with = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        Packet::parse(&bytes)
    };
    assert_eq!(Packet::parse(&[]), Err(PacketError::TooShort));
    assert_eq!(Packet::parse(&whole[..239]), Err(PacketError::TooShort));
    assert_eq!(with(236, 0), Err(PacketError::NoCookie));
    assert_eq!(with(2, 17), Err(PacketError::HardwareAddress));
}

#[test]
fn a_malformed_option_costs_only_itself() {
    let mut lab = Lab::new();
    let (whole, offer) = (discover(1).encode(), lab.answer(&discover(1)));
    for option in [&[code::HOST_NAME][..], &[code::HOST_NAME, 200, b'a'], &[code::ROUTES, 1]] {
        let bytes = [&whole[..243], option].concat();
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.options.get(option[0]), None);
        assert_eq!(lab.answer(&packet), offer, "{option:?}");
    }
    // No option has a valid value.
    for code in (1..=254).filter(|it| ![code::MESSAGE_TYPE, code::OVERLOAD].contains(it)) {
        let bytes = [&whole[..243], &[code, 3, 0xff, 0, 0xc3, code::END]].concat();
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.options.get(code), Some(&[0xff, 0, 0xc3][..]));
        assert_eq!(MessageType::of(&packet), Some(MessageType::Discover), "{code}");
    }
    // A packet without a message type is no message, either.
    let cut = Packet::parse(&whole[..241]).unwrap();
    assert_eq!(lab.send(&cut).answer, Err(DropReason::NotRequest));
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
    let mut dice = SeededRng(1);
    let captures = captures::all();
    for _ in 0..50_000 {
        let mut bytes = captures[dice.roll(captures.len())].clone();
        for _ in 0..=dice.roll(8) {
            // Half of the changes in fixed fields, half in options.
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
    lab.arrival.from = to([10, 77, 0, 254], 67);
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
fn a_flood_of_clients_takes_no_more_than_the_addresses_and_keeps_nobody_from_them() {
    let mut lab = Lab::new();
    let flood = |lab: &mut Lab, ids: std::ops::Range<u16>| {
        for id in ids {
            let [high, low] = id.to_be_bytes();
            let packet = packet(MessageType::Discover, MacAddr([6, 0, 0, 0, high, low]));
            assert_eq!(lab.answer(&packet).kind, MessageType::Offer, "{id}");
        }
    };
    flood(&mut lab, 0..5_000);
    let offered = lab.answer(&discover(1)).packet.yiaddr;
    // EDK2 takes four seconds to request what it was offered.
    flood(&mut lab, 5_000..10_000);
    lab.pass(4);
    assert_eq!(lab.answer(&select(1, offered)).kind, MessageType::Ack);
    flood(&mut lab, 10_000..11_000);
    assert_eq!(lab.answer(&renew(1, offered)).kind, MessageType::Ack);
    assert_eq!(lab.leases.len(), 2);
}

#[test]
fn addresses_in_use_are_not_given_away_however_many_ask() {
    let mut lab = Lab::new();
    let taken = [lab.bind(1), lab.bind(2)];
    for id in 0..1_000_u16 {
        let [high, low] = id.to_be_bytes();
        let mac = MacAddr([6, 0, 0, 0, high, low]);
        let answer = lab.send(&packet(MessageType::Discover, mac)).answer;
        assert_eq!(answer, Err(DropReason::NoFreeAddress));
        let mut request = packet(MessageType::Request, mac);
        request.options.set(code::REQUESTED_ADDRESS, taken[0].octets());
        request.options.set(code::SERVER_ID, SERVER.octets());
        assert_eq!(lab.answer(&request).kind, MessageType::Nak);
    }
}

#[test]
fn options_as_long_as_a_packet_are_echoed_whole_and_once() {
    let mut bytes = discover(1).encode();
    bytes.truncate(240);
    bytes.extend([code::MESSAGE_TYPE, 1, 1]);
    for _ in 0..14 {
        bytes.extend([code::CLIENT_ID, 255]);
        bytes.extend([7; 255]);
    }
    bytes.push(code::END);
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!(packet.options.get(code::CLIENT_ID).map(<[u8]>::len), Some(14 * 255));
    let reply = Lab::new().answer(&packet).packet;
    assert_eq!(Packet::parse(&reply.encode()), Ok(reply));
}

#[test]
fn a_second_server_that_nobody_wants_takes_no_lease_from_us() {
    let mut lab = Lab::new();
    let mine = lab.bind(1);
    let rogue = Ipv4Addr::new(10, 77, 0, 250);
    // Its broadcast messages to clients reach us, too.
    for kind in [MessageType::Offer, MessageType::Ack, MessageType::Nak] {
        let mut answer = Packet { op: 2, yiaddr: mine, ..packet(kind, mac(1)) };
        answer.options.set(code::SERVER_ID, rogue.octets());
        let Decision { changes, answer, .. } = lab.send(&answer);
        assert_eq!((changes, answer), (vec![], Err(DropReason::NotRequest)), "{kind:?}");
    }
    assert_eq!(lab.answer(&renew(1, mine)).kind, MessageType::Ack);
    // A client that took an address from it is told so when it asks all servers.
    for foreign in [[192, 168, 0, 9].into(), Ipv4Addr::new(10, 77, 0, 240)] {
        assert_eq!(lab.answer(&renew(2, foreign)).kind, MessageType::Nak);
        assert_eq!(lab.answer(&reboot(2, foreign)).kind, MessageType::Nak);
    }
    assert_ne!(lab.bind(2), mine);
}

#[test]
fn one_sender_that_takes_every_lease_takes_none_that_somebody_has() {
    let mut lab = Lab::new();
    let mine = lab.bind(1);
    for id in 0..2_000_u16 {
        let [high, low] = id.to_be_bytes();
        let mac = MacAddr([6, 0, 0, 0, high, low]);
        let Ok(offer) = lab.send(&packet(MessageType::Discover, mac)).answer else { continue };
        let mut request = packet(MessageType::Request, mac);
        request.options.set(code::REQUESTED_ADDRESS, offer.packet.yiaddr.octets());
        request.options.set(code::SERVER_ID, SERVER.octets());
        lab.send(&request);
    }
    assert_eq!(lab.leases.len(), 2, "as many as there are addresses");
    assert_eq!(lab.answer(&renew(1, mine)).kind, MessageType::Ack);
    assert_eq!(lab.bind(0x99), Ipv4Addr::new(10, 77, 0, 9), "what is reserved is reserved");
    // It ends without intervention: nobody renews the leases of the flood.
    lab.pass(3_601);
    assert_ne!(lab.bind(2), mine);
}
