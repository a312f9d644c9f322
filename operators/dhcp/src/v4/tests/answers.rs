//! Contents and destinations of answers.

use super::*;

#[test]
fn a_lease_comes_with_its_times_and_everything_about_the_subnet() {
    let mut lab = Lab::new();
    let offer = lab.answer(&discover(0x99)).packet;
    let options: Vec<_> =
        offer.options.iter().map(|(code, value)| (code, value.to_vec())).collect();
    let expected: Vec<(u8, Vec<u8>)> = vec![
        (53, vec![2]),
        (54, vec![10, 77, 0, 1]),
        (51, 3600_u32.to_be_bytes().into()),
        (58, 1800_u32.to_be_bytes().into()),
        (59, 3150_u32.to_be_bytes().into()),
        (1, vec![255, 255, 255, 0]),
        (3, vec![10, 77, 0, 254]),
        (6, vec![10, 77, 0, 3, 10, 77, 0, 4]),
        (15, b"oob.example.org".to_vec()),
        (12, b"rack1-u1".to_vec()),
        (26, vec![5, 120]),
        (28, vec![10, 77, 0, 255]),
        (42, vec![10, 77, 0, 5]),
    ];
    assert_eq!(options, expected);
    let asked = discover(0x99);
    assert_eq!((offer.op, offer.xid, offer.chaddr), (2, asked.xid, asked.chaddr));
}

#[test]
fn a_client_that_says_what_it_wants_gets_that_and_the_network() {
    let mut packet = discover(1);
    packet.options.set(code::PARAMETERS, [code::NTP]);
    let options = Lab::new().answer(&packet).packet.options;
    let codes: Vec<u8> = options.iter().map(|(code, _)| code).collect();
    assert_eq!(codes, [53, 54, 51, 58, 59, 1, 3, 42]);
    let all = Lab::new().answer(&discover(1));
    packet.options.set(code::PARAMETERS, []);
    assert_eq!(Lab::new().answer(&packet), all, "a list without a code is none");
}

#[test]
fn a_shorter_lease_is_granted_and_a_longer_one_is_not() {
    for (wished, granted) in [(600, 600), (1, 60), (u32::MAX, 3600)] {
        let mut packet = discover(1);
        packet.options.set(code::LEASE_TIME, wished.to_be_bytes());
        let offer = Lab::new().answer(&packet).packet;
        assert_eq!(offer.options.u32(code::LEASE_TIME), Some(granted));
    }
}

#[test]
fn identifier_and_relay_options_come_back_as_they_were_with_the_relay_last() {
    let mut packet = discover(1);
    packet.giaddr = [10, 88, 0, 1].into();
    // Sub-options in an order that re-encoding would change.
    let relay = [2, 1, b'r', 1, 2, b'c', b'd', 151, 0];
    packet.options.set(code::RELAY, relay);
    packet.options.set(code::CLIENT_ID, [255, 1, 2, 3]);
    let mut lab = Lab::new();
    let offer = lab.answer(&packet);
    let last = offer.packet.options.iter().last();
    assert_eq!(last, Some((code::RELAY, &relay[..])));
    assert_eq!(offer.packet.options.get(code::CLIENT_ID), Some(&[255, 1, 2, 3][..]));

    packet.options.set(code::MESSAGE_TYPE, [MessageType::Request as u8]);
    packet.options.set(code::REQUESTED_ADDRESS, [10, 77, 0, 100]);
    let nak = lab.answer(&packet);
    assert_eq!(nak.kind, MessageType::Nak);
    assert_eq!(nak.packet.options.iter().last(), Some((code::RELAY, &relay[..])));
}

#[test]
fn answers_stay_within_what_the_client_takes() {
    let long = format!("{}.example.org", ["a"; 60].map(|a| a.repeat(3)).join("."));
    let config = CONFIG.replace("oob.example.org", &long[long.len() - 250..]);
    let mut packet = discover(1);
    packet.options.set(code::RELAY, [7; 200]);
    packet.giaddr = [10, 77, 0, 254].into();
    let mut lab = Lab::with(&config);
    lab.arrival.from = to([10, 77, 0, 254], 67);
    let reply = lab.answer(&packet).packet;
    assert!(reply.encode().len() <= 548, "{}", reply.encode().len());
    assert_eq!(reply.options.get(code::DOMAIN_NAME), None);
    assert!(reply.options.get(code::NTP).is_some(), "what still fits is sent");

    packet.options.set(code::MAX_SIZE, 1472_u16.to_be_bytes());
    let reply = lab.answer(&packet).packet;
    assert!(reply.options.get(code::DOMAIN_NAME).is_some());
}

#[test]
fn answers_go_where_the_client_or_its_relay_listens() {
    let mut lab = Lab::new();
    let address = lab.bind(1);
    assert_eq!(lab.answer(&discover(1)).to, to([255; 4], 68));
    assert_eq!(lab.answer(&renew(1, address)).to, SocketAddrV4::new(address, 68));
    // A client that asks for a wrong address cannot be reached at it.
    let wrong = renew(1, [10, 77, 0, 50].into());
    assert_eq!(lab.answer(&wrong).to, to([255; 4], 68));
    assert_eq!(lab.answer(&wrong).packet.ciaddr, Ipv4Addr::UNSPECIFIED);

    let mut relayed = discover(1);
    relayed.giaddr = [10, 88, 0, 1].into();
    assert_eq!(lab.answer(&relayed).to, to([10, 88, 0, 1], 67));
    let mut wrong = reboot(1, [10, 77, 0, 50].into());
    wrong.giaddr = [10, 88, 0, 1].into();
    let nak = lab.answer(&wrong);
    assert_eq!((nak.kind, nak.to), (MessageType::Nak, to([10, 88, 0, 1], 67)));
    assert!(nak.packet.broadcast, "the relay must not use the wrong address");
}

/// Its subnet was renumbered, and its router still knows the old one.
#[test]
fn who_renews_from_another_link_is_refused_at_its_address() {
    let mut lab = Lab::without_bmcs();
    lab.arrival.is_unicast = true;
    for (address, told) in [
        ([10, 99, 0, 5], [10, 99, 0, 5]),
        ([10, 88, 0, 99], [10, 88, 0, 99]),
        // On our link.
        ([10, 77, 0, 50], [255; 4]),
    ] {
        lab.arrival.from = to(address, 68);
        let nak = lab.answer(&renew(1, address.into()));
        assert_eq!((nak.kind, nak.to, nak.direct), (MessageType::Nak, to(told, 68), None));
        assert_eq!(nak.packet.ciaddr, Ipv4Addr::UNSPECIFIED);
    }
    // It does not send from the address that it gives, or was moved here and asks everybody.
    for (from, is_unicast) in [([192, 0, 2, 1], true), ([10, 99, 0, 5], false)] {
        (lab.arrival.from, lab.arrival.is_unicast) = (to(from, 68), is_unicast);
        let nak = lab.answer(&renew(1, [10, 99, 0, 5].into()));
        assert_eq!((nak.kind, nak.to), (MessageType::Nak, to([255; 4], 68)));
    }
}

/// RFC 2131, section 4.1.
#[test]
fn who_does_not_ask_for_broadcast_and_has_no_address_is_answered_alone() {
    let mut lab = Lab::new();
    let plain = lab.answer(&discover(1));
    assert_eq!((plain.to, plain.direct), (to([255; 4], 68), Some(mac(1))));
    let address = lab.bind(1);
    let ack = lab.answer(&reboot(1, address));
    assert_eq!((ack.kind, ack.direct), (MessageType::Ack, Some(mac(1))));

    let to_all = Packet { broadcast: true, ..discover(1) };
    assert_eq!(lab.answer(&to_all).direct, None, "it asks for broadcast");
    let has_address = lab.answer(&renew(1, address));
    assert_eq!((has_address.to, has_address.direct), (SocketAddrV4::new(address, 68), None));
    let relayed = Packet { giaddr: [10, 88, 0, 1].into(), ..discover(1) };
    assert_eq!(lab.answer(&relayed).direct, None, "the relay does that");
    let nak = lab.answer(&reboot(1, [10, 77, 0, 50].into()));
    assert_eq!((nak.kind, nak.to, nak.direct), (MessageType::Nak, to([255; 4], 68), None));
    // InfiniBand leaves `chaddr` empty, so there is no hardware address to send to.
    let mut infiniband = Packet { htype: 32, hlen: 0, ..discover(3) };
    infiniband.options.set(code::CLIENT_ID, [0xff, 1, 2, 3]);
    assert_eq!(lab.answer(&infiniband).direct, None);
}

#[test]
fn a_relay_without_the_port_is_answered_at_its_own() {
    let mut lab = Lab::new();
    lab.arrival.from.set_port(4242);
    let mut packet = discover(1);
    packet.giaddr = [10, 88, 0, 1].into();
    packet.options.set(code::RELAY, [19, 0]);
    assert_eq!(lab.answer(&packet).to, to([10, 88, 0, 1], 4242));
}

#[test]
fn the_subnet_is_that_of_the_link() {
    let mut lab = Lab::new();
    let first = |reply: Reply| reply.packet.yiaddr.octets()[1];
    assert_eq!(first(lab.answer(&discover(1))), 77);
    let behind = |giaddr: [u8; 4]| Packet { giaddr: giaddr.into(), ..discover(1) };
    assert_eq!(first(lab.answer(&behind([10, 88, 0, 1]))), 88);
    assert_eq!(first(lab.answer(&behind([192, 0, 2, 7]))), 88);
    assert_eq!(lab.send(&behind([192, 0, 2, 8])).answer, Err(DropReason::NoSubnet));
    // Link selection: the relay is on another link.
    let mut selected = behind([192, 0, 2, 8]);
    selected.options.set(code::RELAY, [5, 4, 10, 88, 0, 0]);
    assert_eq!(first(lab.answer(&selected)), 88);
}

#[test]
fn a_client_behind_a_relay_renews_without_it() {
    let mut lab = Lab::new();
    let mut packet = discover(1);
    packet.giaddr = [10, 88, 0, 1].into();
    let address = lab.answer(&packet).packet.yiaddr;
    packet.options.set(code::MESSAGE_TYPE, [MessageType::Request as u8]);
    packet.options.set(code::REQUESTED_ADDRESS, address.octets());
    assert_eq!(lab.answer(&packet).kind, MessageType::Ack);
    let ack = lab.answer(&renew(1, address));
    assert_eq!((ack.kind, ack.to), (MessageType::Ack, SocketAddrV4::new(address, 68)));
}

#[test]
fn a_relay_may_put_itself_in_our_place() {
    let mut lab = Lab::new();
    let mut packet = discover(1);
    packet.giaddr = [10, 88, 0, 1].into();
    packet.options.set(code::RELAY, [11, 4, 10, 88, 0, 1]);
    let offer = lab.answer(&packet).packet;
    assert_eq!(offer.options.address(code::SERVER_ID), Some([10, 88, 0, 1].into()));
    packet.options.set(code::MESSAGE_TYPE, [MessageType::Request as u8]);
    packet.options.set(code::REQUESTED_ADDRESS, offer.yiaddr.octets());
    packet.options.set(code::SERVER_ID, [10, 88, 0, 1]);
    assert_eq!(lab.answer(&packet).kind, MessageType::Ack);
}

#[test]
fn inform_is_told_everything_but_an_address() {
    let mut lab = Lab::new();
    let packet = Packet { ciaddr: [10, 77, 0, 44].into(), ..packet(MessageType::Inform, mac(1)) };
    let decision = lab.send(&packet);
    assert_eq!(decision.changes, []);
    let ack = decision.answer.unwrap();
    assert_eq!((ack.kind, ack.to), (MessageType::Ack, to([10, 77, 0, 44], 68)));
    assert_eq!(ack.packet.yiaddr, Ipv4Addr::UNSPECIFIED);
    assert_eq!(ack.packet.options.get(code::LEASE_TIME), None);
    assert!(ack.packet.options.get(code::DNS).is_some());
    let nowhere = super::packet(MessageType::Inform, mac(1));
    assert_eq!(lab.send(&nowhere).answer, Err(DropReason::NoAddress));
}

#[test]
fn who_informs_without_saying_its_address_is_told_where_it_speaks_from() {
    let mut lab = Lab::without_bmcs();
    let inform = packet(MessageType::Inform, mac(1));
    lab.arrival.from = to([10, 77, 0, 50], 68);
    let ack = lab.answer(&inform);
    assert_eq!((ack.kind, ack.to), (MessageType::Ack, to([10, 77, 0, 50], 68)));
    assert_eq!((ack.packet.yiaddr, ack.direct), (Ipv4Addr::UNSPECIFIED, None));
    // `ciaddr` takes precedence.
    let named = Packet { ciaddr: [10, 77, 0, 44].into(), ..inform.clone() };
    assert_eq!(lab.answer(&named).to, to([10, 77, 0, 44], 68));
    // Through a relay, or from another subnet, the source address says nothing.
    let relayed = Packet { giaddr: [10, 77, 0, 254].into(), ..inform.clone() };
    assert_eq!(lab.send(&relayed).answer, Err(DropReason::NoAddress));
    lab.arrival.from = to([192, 0, 2, 1], 68);
    assert_eq!(lab.send(&inform).answer, Err(DropReason::NoAddress));
    // A client without a lease is answered as before.
    lab.arrival.from = to([10, 77, 0, 50], 68);
    assert_eq!(*lab.answer(&discover(1)).to.ip(), Ipv4Addr::BROADCAST);
}

#[test]
fn an_address_that_no_interface_has_is_no_client() {
    let mut lab = Lab::new();
    for nobody in [[0xff; 6], [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff], *b"3PoE00", [0; 6]] {
        let mut packet = packet(MessageType::Discover, MacAddr(nobody));
        assert_eq!(lab.send(&packet).answer, Err(DropReason::Unidentified), "{nobody:?}");
        packet.options.set(code::CLIENT_ID, [&[1][..], &nobody].concat());
        assert_eq!(lab.send(&packet).answer, Err(DropReason::Unidentified), "{nobody:?}");
        packet.options.set(code::ARCHITECTURE, [0, 7]);
        packet.options.set(code::MACHINE_ID, [&[0][..], &[7; 16]].concat());
        assert_eq!(identity(&packet).and_then(|machine| machine.mac), None, "{nobody:?}");
        // The identifier still distinguishes it.
        packet.options.set(code::CLIENT_ID, [&[0][..], &[8; 16]].concat());
        assert!(matches!(Client::of(&packet), Some(Client::Id(_))), "{nobody:?}");
    }
    assert!(lab.answer(&discover(1)).packet.yiaddr.octets().starts_with(&[10, 77]));
}

#[test]
fn a_bmc_with_the_prefix_of_the_founding_documents_is_a_client() {
    let bmc = packet(MessageType::Discover, MacAddr([0x23, 0x11, 0x8a, 0, 0, 1]));
    assert!(Lab::new().send(&bmc).answer.is_ok());
}

#[test]
fn hardware_that_is_no_ethernet_is_a_client_by_its_type_and_address() {
    const IEEE_802: u8 = 6;
    let mut lab = Lab::new();
    let other = |last| Packet { htype: IEEE_802, ..discover(last) };
    let id = |packet: &Packet| Client::of(packet).map(|client| client.to_string());
    assert_eq!(id(&other(1)).as_deref(), Some("id-06020000000001"));
    let (one, two) = (lab.answer(&other(1)).packet.yiaddr, lab.answer(&other(2)).packet.yiaddr);
    assert!(one != two && lab.answer(&other(1)).packet.yiaddr == one);
    let mut named = other(1);
    named.options.set(code::CLIENT_ID, [0, 9, 9]);
    assert_eq!(id(&named).as_deref(), Some("id-000909"));
    for blank in [[0; 16], [0xff; 16]] {
        assert_eq!(id(&Packet { chaddr: blank, ..other(1) }), None);
    }
    assert_eq!(id(&Packet { hlen: 0, ..other(1) }), None);
}

#[test]
fn who_is_not_to_be_served_is_not_answered() {
    let silence = |lab: &mut Lab, packet: &Packet| lab.send(packet).answer.unwrap_err();
    let mut lab = Lab::new();
    let answer = Packet { op: 2, ..discover(1) };
    assert_eq!(silence(&mut lab, &answer), DropReason::NotRequest);
    assert_eq!(silence(&mut lab, &packet(MessageType::Offer, mac(1))), DropReason::NotRequest);
    assert_eq!(silence(&mut lab, &Packet { hops: 17, ..discover(1) }), DropReason::TooManyHops);
    assert_eq!(silence(&mut lab, &Packet { hlen: 0, ..discover(1) }), DropReason::Unidentified);
    lab.arrival.server = [203, 0, 113, 1].into();
    assert_eq!(silence(&mut lab, &discover(1)), DropReason::NoSubnet);

    let mut lab = Lab::with(&format!("{CONFIG}deny: ['02:00:00:00:00:0']"));
    assert_eq!(silence(&mut lab, &discover(1)), DropReason::Denied);
    assert!(lab.send(&discover(0x11)).answer.is_ok());
    let mut lab = Lab::with(&format!("{CONFIG}allow: ['0200']\ndeny: ['020000000001']"));
    assert_eq!(silence(&mut lab, &discover(1)), DropReason::Denied);
    assert!(lab.send(&discover(2)).answer.is_ok());
    let foreign = packet(MessageType::Discover, MacAddr([6; 6]));
    assert_eq!(silence(&mut lab, &foreign), DropReason::Denied);
    // Not distinguishable from the denied ones.
    let mut nameless = Packet { hlen: 0, ..discover(2) };
    nameless.options.set(code::CLIENT_ID, [0, 1, 2]);
    assert_eq!(silence(&mut lab, &nameless), DropReason::Denied);
}

#[test]
fn routes_come_with_the_default_one() {
    let routes = "    mtu: 1400\n    routes:\n      - { to: 10.80.0.0/12, via: 10.77.0.7 }\n";
    let mut lab = Lab::with(&CONFIG.replacen("    mtu: 1400\n", routes, 1));
    let options = lab.answer(&discover(1)).packet.options;
    let expected = [12, 10, 80, 10, 77, 0, 7, 0, 10, 77, 0, 254];
    assert_eq!(options.get(code::ROUTES), Some(&expected[..]));
}

#[test]
fn a_switch_is_told_what_to_load_where_it_asks_for_it() {
    let url = "http://10.77.0.2/sonic.json";
    let mut lab = Lab::with(&format!("{CONFIG}ztp: [{{ mac: '02:00', url: '{url}' }}]\n"));
    let mut packet = discover(1);
    packet.options.set(code::PARAMETERS, [code::BOOT_FILE, code::ZTP]);
    let options = lab.answer(&packet).packet.options;
    let text = format!("{url}\0");
    assert_eq!(options.get(code::ZTP), Some(text.as_bytes()));
    assert_eq!(options.get(code::BOOT_FILE), Some(text.as_bytes()));
    packet.options.set(code::PARAMETERS, [code::DNS]);
    let options = lab.answer(&packet).packet.options;
    assert_eq!((options.get(code::ZTP), options.get(code::BOOT_FILE)), (None, None));
    // Firmware is not a switch, whatever its MAC address.
    packet.options.set(code::PARAMETERS, [code::BOOT_FILE, code::ZTP]);
    packet.options.set(code::ARCHITECTURE, [0, 7]);
    let options = lab.answer(&packet).packet.options;
    assert_eq!(options.get(code::BOOT_FILE), Some(&b"snponly.efi\0"[..]));
}
