//! Identifying the sender of a packet.

use super::*;

const TOLD: MacAddr = MacAddr([2, 0x11, 0, 0, 0, 1]);

fn with_id(id: &[u8]) -> Packet {
    let mut packet = solicit(1);
    packet.options.remove(code::CLIENT_ID);
    packet.options.push(code::CLIENT_ID, id);
    packet
}

#[test]
fn the_mac_address_is_found_where_it_is_told() {
    let ll = [0, 3, 0, 1, 2, 0x11, 0, 0, 0, 1];
    let llt = [0, 1, 0, 1, 1, 2, 3, 4, 2, 0x11, 0, 0, 0, 1];
    let anywhere = ip("fe80::1:2:3:4");
    for (id, from, expected) in [
        (&ll[..], anywhere, Some(TOLD)),
        (&llt[..], anywhere, Some(TOLD)),
        // The identifier takes precedence over the address.
        (&ll[..], link_local(5), Some(TOLD)),
        (&[0, 4, 1, 2, 3], link_local(5), Some(mac(5))),
        // Not Ethernet, another length, a group address, all zeros.
        (&[0, 3, 0, 32, 2, 0, 0, 0, 0, 1], anywhere, None),
        (&[0, 3, 0, 1, 2, 0, 0, 0, 0, 1, 7], anywhere, None),
        (&[0, 3, 0, 1, 3, 0, 0, 0, 0, 1], anywhere, None),
        (&[0, 3, 0, 1, 0, 0, 0, 0, 0, 0], anywhere, None),
        // Not made from a MAC address, and not link-local.
        (&[0, 4, 1], ip("fe80::5054:ff:ff12:3456"), None),
        (&[0, 4, 1], ip("fd77::5054:ff:fe12:3456"), None),
        (
            &[0, 4, 1],
            ip("fe80::5054:ff:fe12:3456"),
            Some(MacAddr([0x52, 0x54, 0, 0x12, 0x34, 0x56])),
        ),
    ] {
        assert_eq!(crate::v6::mac(&with_id(id), from), expected, "{id:?} {from}");
    }
}

#[test]
fn only_the_relay_next_to_the_client_tells_its_mac_address() {
    let packet = relayed(solicit(1), ip("fd77::ff"), link_local(5));
    let mut packet = relayed(packet, ip("fd88::ff"), ip("fd77::ff"));
    assert_eq!(crate::v6::mac(&packet, ip("fd88::ff")), Some(mac(5)));
    packet.relays[0].options.push(code::LINK_LAYER, [0, 1, 2, 9, 9, 9, 9, 9]);
    assert_eq!(crate::v6::mac(&packet, ip("fd88::ff")), Some(mac(5)));
    packet.relays[1].options.push(code::LINK_LAYER, [0, 1, 2, 0x11, 0, 0, 0, 1]);
    assert_eq!(crate::v6::mac(&packet, ip("fd88::ff")), Some(TOLD));
}

#[test]
fn the_system_uuid_is_found_in_the_identifier() {
    let uuid = |bytes: &[u8]| {
        let mut packet = with_id(&[&[0, 4][..], bytes].concat());
        packet.options.push(code::ARCHITECTURE, [0, 7]);
        identity(&packet, link_local(1)).unwrap().uuid.map(|uuid| uuid.to_string())
    };
    let one = 0x3894_7555_7742_3448_3784_8233_4782_3834_u128.to_be_bytes();
    assert_eq!(uuid(&one).as_deref(), Some("38947555-7742-3448-3784-823347823834"));
    assert_eq!(uuid(&one[..15]), None);
    assert_eq!(uuid(&[0; 16]), None);
}

/// EDK2 has a different IAID in each phase, and each phase a different identifier.
#[test]
fn one_interface_keeps_its_address_whatever_it_calls_itself() {
    let mut lab = Lab::new();
    let first = lab.bind(1);
    for (id, iaid) in [(vec![0, 4, 9, 9], 7), (vec![0, 3, 0, 1, 2, 0, 0, 0, 0, 1], 8)] {
        let mut packet = with_id(&id);
        packet.options.remove(code::IA_NA);
        packet.options.push(code::IA_NA, ia(iaid, None));
        assert_eq!(address(&lab.answer(&packet, 1)), Some(first));
    }
}

/// RFC 9915, section 4.2: for one interface, whatever identifier it sends.
#[test]
fn an_association_is_an_identifier_and_an_iaid_whatever_is_done_with_it() {
    let kinds = [MessageType::Renew, MessageType::Release, MessageType::Decline];
    for kind in kinds {
        let mut lab = Lab::new();
        let mine = lab.bind(1);
        let until = lab.leases.get(mine).unwrap().until;
        lab.pass(60);
        let mut other_iaid = to_server(kind, 1, mine);
        other_iaid.options.remove(code::IA_NA);
        other_iaid.options.push(code::IA_NA, ia(7, Some(mine)));
        let mut other_id = to_server(kind, 9, mine);
        other_id.options.remove(code::IA_NA);
        other_id.options.push(code::IA_NA, ia(1, Some(mine)));
        for packet in [other_iaid, other_id] {
            assert_eq!(status(&lab.answer(&packet, 1)).1, Some(NO_BINDING), "{kind:?}");
            let lease = lab.leases.get(mine).unwrap();
            assert!(lease.is_bound(lab.now) && lease.until == until, "{kind:?}");
        }
        // Of several associations, the one that has the address counts.
        let mut both = to_server(kind, 1, mine);
        both.options.remove(code::IA_NA);
        both.options.push(code::IA_NA, ia(7, Some(mine)));
        both.options.push(code::IA_NA, ia(1, Some(mine)));
        lab.answer(&both, 1);
        let lease = lab.leases.get(mine).unwrap();
        let is_renewed = lease.is_bound(lab.now) && lease.until > until;
        assert_eq!(is_renewed, kind == MessageType::Renew);
        assert_eq!(lease.is_bound(lab.now), kind == MessageType::Renew);
    }
}

#[test]
fn what_an_address_is_bound_to_survives_a_restart() {
    let mut lab = Lab::new();
    let mine = lab.bind(1);
    let lease = lab.leases.get(mine).unwrap().clone();
    assert!(lease.binding.is_some());
    let mut log = String::new();
    crate::lease::record::write(&mut log, &lease);
    assert_eq!(crate::lease::record::replay::<Ipv6Addr>(log.as_bytes()).leases, [lease]);
}

/// A relay may describe the source of a packet in its own way.
#[test]
fn where_no_interface_shows_identifier_and_association_count() {
    let mut lab = Lab::new();
    let mut ask = |host, iaid| {
        let mut packet = message(MessageType::Solicit, host);
        packet.options.push(code::IA_NA, ia(iaid, None));
        let packet = relayed(packet, ip("fd88::ff"), Ipv6Addr::UNSPECIFIED);
        address(&lab.send(&packet, ip("fd88::ff")).answer.unwrap())
    };
    let first = ask(1, 1);
    assert!(first.is_some() && ask(1, 1) == first);
    assert!(ask(1, 2) != first && ask(2, 1) != first);
}

#[test]
fn a_reservation_is_that_of_the_interface_whichever_its_identifier_is_made_from() {
    let id = [&[0, 3, 0, 1][..], &mac(0x99).0].concat();
    for (interface, expected) in [(0x98, "fd77::102"), (0x99, "fd77::9"), (5, "fd77::9")] {
        let offer = Lab::new().answer(&with_id(&id), interface);
        assert_eq!(address(&offer), Some(ip(expected)), "{interface:x}");
    }
}

/// A host makes one identifier from one of its interfaces, and uses it on all.
#[test]
fn two_interfaces_with_one_identifier_have_two_addresses() {
    let mut lab = Lab::new();
    let id = [0, 3, 0, 1, 2, 0x11, 0, 0, 0, 1];
    let mut addresses = Vec::new();
    for (iaid, from) in [(1, "fe80::1"), (2, "fe80::2")] {
        let mut packet = with_id(&id);
        packet.options.remove(code::IA_NA);
        packet.options.push(code::IA_NA, ia(iaid, None));
        let offered = address(&lab.send(&packet, ip(from)).answer.unwrap()).unwrap();
        packet.kind = MessageType::Request as u8;
        packet.options.push(code::SERVER_ID, SERVER_ID);
        addresses.push(address(&lab.send(&packet, ip(from)).answer.unwrap()).unwrap());
        assert_eq!(addresses.last(), Some(&offered));
    }
    assert_ne!(addresses[0], addresses[1]);
}
