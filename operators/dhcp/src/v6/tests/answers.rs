//! Each message and its answer.

use super::*;

#[test]
fn four_messages_give_an_address_and_what_was_asked_for() {
    let mut lab = Lab::new();
    let mut packet = solicit(1);
    packet.options.push(code::OPTION_REQUEST, [0, 23, 0, 24, 0, 56]);
    let advertise = lab.answer(&packet, 1);
    assert_eq!(advertise.kind, MessageType::Advertise);
    assert_eq!(advertise.packet.xid, packet.xid);
    assert_eq!(advertise.to, SocketAddrV6::new(link_local(1), CLIENT_PORT, 0, 3));
    let options = &advertise.packet.options;
    assert_eq!(options.get(code::CLIENT_ID), packet.options.get(code::CLIENT_ID));
    assert_eq!(options.get(code::SERVER_ID), Some(SERVER_ID));
    let dns = [ip("fd77::3").octets(), ip("fd77::4").octets()].concat();
    assert_eq!(options.get(code::DNS), Some(&dns[..]));
    assert_eq!(options.get(code::SEARCH), Some(&b"\x03oob\x07example\x03org\0"[..]));
    let ntp = [&[0, 1, 0, 16][..], &ip("fd77::5").octets()].concat();
    assert_eq!(options.get(code::NTP), Some(&ntp[..]));
    // One hour: IAID, T1 at half and T2 at four fifths of the preferred lifetime.
    let ia = options.get(code::IA_NA).unwrap();
    assert_eq!(
        ia[..12],
        [&[0, 0, 0, 1][..], &1350_u32.to_be_bytes(), &2160_u32.to_be_bytes()].concat()
    );
    assert_eq!(ia[32..], [2700_u32.to_be_bytes(), 3600_u32.to_be_bytes()].concat());
    assert!(!lab.leases.get(address(&advertise).unwrap()).unwrap().is_durable());

    let offered = address(&advertise).unwrap();
    let decision = lab.send(&request(1, offered), link_local(1));
    assert!(decision.changes[0].is_durable() && decision.changes[0].is_bound(lab.now));
    assert_eq!(address(&decision.answer.unwrap()), Some(offered));
}

#[test]
fn what_is_not_asked_for_is_not_told() {
    let mut lab = Lab::new();
    let mut packet = solicit(1);
    packet.options.push(code::OPTION_REQUEST, [0, 24]);
    let options = lab.answer(&packet, 1).packet.options;
    assert_eq!((options.get(code::DNS), options.get(code::NTP)), (None, None));
    assert!(options.get(code::SEARCH).is_some());
}

#[test]
fn rapid_commit_is_off_until_it_is_configured() {
    let mut packet = solicit(1);
    packet.options.push(code::RAPID_COMMIT, []);
    let mut lab = Lab::new();
    assert_eq!(lab.answer(&packet, 1).kind, MessageType::Advertise);
    let mut lab = Lab::with(&CONFIG.replace("  interfaces", "  rapidCommit: true\n  interfaces"));
    assert_eq!(lab.answer(&solicit(2), 2).kind, MessageType::Advertise);
    let decision = lab.send(&packet, link_local(1));
    assert!(decision.changes.iter().any(|lease| lease.is_bound(lab.now)));
    let reply = decision.answer.unwrap();
    assert_eq!(reply.kind, MessageType::Reply);
    assert_eq!(reply.packet.options.get(code::RAPID_COMMIT), Some(&[][..]));
}

#[test]
fn renew_and_rebind_extend_a_lease_that_is_recorded_and_no_other() {
    for kind in [MessageType::Renew, MessageType::Rebind] {
        let is_renew = kind == MessageType::Renew;
        let ask = |host, address| {
            if is_renew { to_server(kind, host, address) } else { to_any(kind, host, address) }
        };
        let mut lab = Lab::new();
        let mine = lab.bind(1);
        let before = lab.leases.get(mine).unwrap().until;
        lab.pass(1800);
        assert_eq!(address(&lab.answer(&ask(1, mine), 1)), Some(mine));
        assert!(lab.leases.get(mine).unwrap().until > before);
        // That of another client, and one on another link.
        assert_eq!(status(&lab.answer(&ask(2, mine), 2)).1, Some(NO_BINDING));
        let withdrawn = lab.answer(&ask(2, ip("fd66::1")), 2);
        assert_eq!((address(&withdrawn), status(&withdrawn)), (None, (None, None)));
        // The server has lost its leases: the client starts over, and gets the same address.
        let mut lab = Lab::new();
        assert_eq!(status(&lab.answer(&ask(1, mine), 1)).1, Some(NO_BINDING));
        let mut again = solicit(1);
        again.options.remove(code::IA_NA);
        again.options.push(code::IA_NA, ia(1, Some(mine)));
        assert_eq!(address(&lab.answer(&again, 1)), Some(mine));
        // There are other servers.
        let mut lab = Lab::with(&format!("authoritative: false{CONFIG}"));
        let decision = lab.send(&ask(1, mine), link_local(1));
        match decision.answer {
            Ok(reply) => assert_eq!((is_renew, status(&reply).1), (true, Some(NO_BINDING))),
            Err(reason) => assert_eq!((is_renew, reason), (false, DropReason::UnknownClient)),
        }
    }
}

#[test]
fn confirm_says_whether_the_addresses_belong_to_the_link() {
    let mut lab = Lab::new();
    for (address, expected) in [("fd77::4242", 0), ("fd88::10", NOT_ON_LINK)] {
        let reply = lab.answer(&to_any(MessageType::Confirm, 1, ip(address)), 1);
        assert_eq!(status(&reply).0, Some(expected), "{address}");
    }
    let mut nothing = message(MessageType::Confirm, 1);
    assert_eq!(lab.decide(&nothing, link_local(1)).answer, Err(DropReason::NoAddress));
    nothing.options.push(code::IA_NA, ia(1, None));
    assert_eq!(lab.decide(&nothing, link_local(1)).answer, Err(DropReason::NoAddress));
    assert!(lab.leases.is_empty());
}

#[test]
fn what_is_released_is_free_and_what_is_not_theirs_stays() {
    let mut lab = Lab::new();
    let mine = lab.bind(1);
    let foreign = lab.answer(&to_server(MessageType::Release, 2, mine), 2);
    assert_eq!(status(&foreign), (Some(0), Some(NO_BINDING)));
    assert!(lab.leases.get(mine).unwrap().is_bound(lab.now));
    let reply = lab.answer(&to_server(MessageType::Release, 1, mine), 1);
    assert_eq!(status(&reply), (Some(0), None));
    assert!(!lab.leases.get(mine).unwrap().holds(lab.now));
    assert_eq!(lab.bind(1), mine, "it is kept for its client");
}

#[test]
fn a_release_without_an_address_is_answered() {
    let mut lab = Lab::new();
    let mut packet = message(MessageType::Release, 1);
    packet.options.push(code::SERVER_ID, SERVER_ID);
    packet.options.push(code::IA_NA, ia(1, None));
    assert_eq!(status(&lab.answer(&packet, 1)), (Some(0), Some(NO_BINDING)));
    packet.options.remove(code::IA_NA);
    assert_eq!(status(&lab.answer(&packet, 1)), (Some(0), None));
}

#[test]
fn a_declined_address_rests() {
    let mut lab = Lab::new();
    let mine = lab.bind(1);
    let reply = lab.answer(&to_server(MessageType::Decline, 1, mine), 1);
    assert_eq!(status(&reply), (Some(0), None));
    assert_ne!(lab.bind(1), mine);
    // There are two addresses in the range, one of them in quarantine.
    assert_eq!(status(&lab.answer(&solicit(2), 2)).1, Some(NO_ADDRS));
    lab.pass(3601);
    lab.bind(2);
}

#[test]
fn a_request_for_an_address_of_another_link_is_told_so() {
    let mut lab = Lab::new();
    let reply = lab.answer(&request(1, ip("fd88::10")), 1);
    assert_eq!(status(&reply).1, Some(NOT_ON_LINK));
    assert!(lab.leases.is_empty());
}

#[test]
fn who_asks_for_what_somebody_else_has_gets_what_it_was_offered() {
    let mut lab = Lab::new();
    let taken = lab.bind(1);
    assert_eq!(status(&lab.answer(&request(2, taken), 2)).1, Some(NO_ADDRS));
    let offered = address(&lab.answer(&solicit(2), 2));
    assert_eq!(address(&lab.answer(&request(2, taken), 2)), offered);
    assert_ne!(offered, Some(taken));
}

#[test]
fn an_offer_that_was_forgotten_is_made_again() {
    // Offers are not recorded; this is the first packet, long after a restart.
    let mut lab = Lab::new();
    let offered = address(&Lab::new().answer(&solicit(1), 1)).unwrap();
    assert_eq!(status(&lab.answer(&request(1, offered), 1)).1, Some(NO_ADDRS));
    assert_eq!(lab.bind(1), offered, "the client starts over, and gets the same");
}

#[test]
fn who_is_told_that_no_address_is_left_shows_that_its_subnet_is_exhausted() {
    let mut lab = Lab::new();
    lab.bind(1);
    lab.bind(2);
    let exhausted = |lab: &Lab, packet: &Packet| lab.decide(packet, link_local(3)).exhausted;
    assert_eq!(exhausted(&lab, &solicit(3)), Some(lab.v6.subnets[0].net));
    let mut prefixes_only = solicit(3);
    prefixes_only.options.remove(code::IA_NA);
    assert_eq!(exhausted(&lab, &prefixes_only), None);
    let ranges = "      ranges: ['fd77::100-fd77::102']\n";
    let reserving = Lab::with(&CONFIG.replacen(ranges, "", 1));
    assert_eq!(exhausted(&reserving, &solicit(3)), None, "all are reserved");
}

#[test]
fn reservations_are_kept_for_their_clients() {
    let mut lab = Lab::new();
    assert_eq!(lab.bind(0x99), ip("fd77::9"));
    let mut others = [lab.bind(1), lab.bind(2)];
    others.sort();
    assert_eq!(others, [ip("fd77::100"), ip("fd77::101")]);
    assert_eq!(status(&lab.answer(&solicit(3), 3)).1, Some(NO_ADDRS));
    assert_eq!(lab.bind(0x98), ip("fd77::102"));
}

#[test]
fn of_several_associations_one_gets_an_address_and_prefixes_there_are_none() {
    let mut lab = Lab::new();
    let mut packet = solicit(1);
    packet.options.push(code::IA_NA, ia(77, None));
    packet.options.push(code::IA_PD, ia(78, None));
    let options = lab.answer(&packet, 1).packet.options;
    let ias: Vec<Ia> = options.all(code::IA_NA).map(|value| Ia::parse(value).unwrap()).collect();
    assert_eq!(
        ias.iter().map(|ia| (ia.id[3], ia.addresses.len())).collect::<Vec<_>>(),
        [(1, 1), (77, 0)]
    );
    let prefixes = Options::parse(&options.get(code::IA_PD).unwrap()[12..]).unwrap();
    assert_eq!(prefixes.get(code::STATUS), Some(&[0, 6][..]));
    assert_eq!(lab.leases.len(), 1);
}

/// RFC 9915, sections 18.3.4, 18.3.5, 18.3.7 and 18.3.8.
#[test]
fn of_several_associations_those_without_a_binding_are_told_so_when_they_are_renewed_or_given_back()
{
    let all = |reply: &Reply, code: u16| -> Vec<(u8, Option<u8>)> {
        let told = |value: &[u8]| {
            let options = Options::parse(&value[12..]).unwrap();
            (value[3], options.get(code::STATUS).map(|status| status[1]))
        };
        reply.packet.options.all(code).map(told).collect()
    };
    let no_binding = u8::try_from(NO_BINDING).ok();
    for kind in
        [MessageType::Renew, MessageType::Rebind, MessageType::Release, MessageType::Decline]
    {
        let mut lab = Lab::new();
        let mine = lab.bind(1);
        let is_rebind = kind == MessageType::Rebind;
        let mut packet = if is_rebind { to_any(kind, 1, mine) } else { to_server(kind, 1, mine) };
        packet.options.push(code::IA_NA, ia(77, None));
        packet.options.push(code::IA_PD, ia(78, None));
        let reply = lab.answer(&packet, 1);
        let gives_back = matches!(kind, MessageType::Release | MessageType::Decline);
        let first = (!gives_back).then_some((1, None));
        let expected: Vec<_> = first.into_iter().chain([(77, no_binding)]).collect();
        assert_eq!(all(&reply, code::IA_NA), expected, "{kind:?}");
        assert_eq!(all(&reply, code::IA_PD), [(78, no_binding)], "{kind:?}");
    }
    // A client that asks for the first time is told that there is none.
    let mut lab = Lab::new();
    let mut packet = request(1, lab.bind(1));
    packet.options.push(code::IA_NA, ia(77, None));
    let reply = lab.answer(&packet, 1);
    assert_eq!(all(&reply, code::IA_NA), [(1, None), (77, u8::try_from(NO_ADDRS).ok())]);
}

#[test]
fn messages_that_must_not_be_answered_are_not() {
    let lab = Lab::new();
    let mine = ip("fd77::100");
    let silence = |packet: &Packet| lab.decide(packet, link_local(1)).answer.unwrap_err();
    for kind in [MessageType::Solicit, MessageType::Confirm, MessageType::Rebind] {
        assert_eq!(silence(&to_server(kind, 1, mine)), DropReason::Invalid, "{kind:?}");
    }
    let addressed =
        [MessageType::Request, MessageType::Renew, MessageType::Release, MessageType::Decline];
    for kind in addressed {
        assert_eq!(silence(&to_any(kind, 1, mine)), DropReason::Invalid, "{kind:?}");
        let mut other = to_any(kind, 1, mine);
        other.options.push(code::SERVER_ID, [0, 3, 0, 1, 9, 9, 9, 9, 9, 9]);
        assert_eq!(silence(&other), DropReason::OtherServer, "{kind:?}");
    }
    for kind in [MessageType::Advertise, MessageType::Reply, MessageType::Reconfigure] {
        assert_eq!(silence(&to_any(kind, 1, mine)), DropReason::NotRequest, "{kind:?}");
    }
    assert_eq!(silence(&Packet { kind: 99, ..solicit(1) }), DropReason::NotRequest);
    let mut nobody = solicit(1);
    nobody.options.remove(code::CLIENT_ID);
    assert_eq!(silence(&nobody), DropReason::Unidentified);
    // From another link, from where it should have come through a relay.
    assert_eq!(lab.decide(&solicit(1), ip("fd88::5")).answer, Err(DropReason::NotLinkLocal));
}

#[test]
fn a_bmc_is_reported_once_it_has_its_address() {
    let mut lab = Lab::new();
    let from = ip("fe80::bb:ccff:fe00:1");
    let decision = lab.send(&solicit(1), from);
    assert_eq!(decision.bmc, None);
    let offered = address(&decision.answer.unwrap()).unwrap();
    let decision = lab.send(&request(1, offered), from);
    let seen = decision.bmc.unwrap();
    assert_eq!((seen.mac, seen.address), (MacAddr([2, 0xbb, 0xcc, 0, 0, 1]), offered));
    assert_eq!(seen.until, lab.leases.get(offered).unwrap().until);
}

#[test]
fn lists_of_mac_addresses_hold_for_every_way_of_telling_them() {
    let lab = Lab::with(&format!("deny: ['02:00:00:00:00:01']{CONFIG}"));
    assert_eq!(lab.decide(&solicit(1), link_local(1)).answer, Err(DropReason::Denied));
    assert!(lab.decide(&solicit(2), link_local(2)).answer.is_ok());
    // A client that cannot be matched against the list is not served.
    assert_eq!(lab.decide(&solicit(2), ip("fe80::1:2:3:4")).answer, Err(DropReason::Denied));
}

#[test]
fn switches_are_told_what_to_load_and_firmware_is_not() {
    let url = "http://[fd77::2]/sonic.json";
    let mut lab = Lab::with(&format!("{CONFIG}ztp: [{{ mac: '02:00', url: '{url}' }}]\n"));
    let told = |lab: &mut Lab, packet: &Packet| {
        let options = lab.answer(packet, 1).packet.options;
        [code::ZTP, code::BOOT_FILE].map(|code| options.get(code).map(<[u8]>::to_vec))
    };
    let mut packet = solicit(1);
    packet.options.push(code::OPTION_REQUEST, [0, 59, 0, 239]);
    let whole = Some(url.as_bytes().to_vec());
    assert_eq!(told(&mut lab, &packet), [whole.clone(), whole]);
    packet.options.push(code::ARCHITECTURE, [0, 7]);
    let [ztp, file] = told(&mut lab, &packet);
    assert_eq!((ztp, file.as_deref()), (None, Some(&b"tftp://[fd77::2]/snponly.efi"[..])));
    let mut packet = solicit(1);
    packet.options.push(code::OPTION_REQUEST, [0, 23]);
    assert_eq!(told(&mut lab, &packet), [None, None]);
}

#[test]
fn whose_reserved_address_is_kept_for_a_bmc_gets_another_one_until_it_is_free() {
    let mut lab = Lab::new();
    let reserved = ip("fd77::9");
    lab.leases.keep_for([(reserved, mac(1))].into());
    let other = lab.bind(0x99);
    assert_ne!(other, reserved);
    let renewed = lab.answer(&to_server(MessageType::Renew, 0x99, other), 0x99);
    assert_eq!(address(&renewed), Some(other));
    lab.leases.keep_for([].into());
    assert_eq!(lab.bind(0x99), reserved);
}
