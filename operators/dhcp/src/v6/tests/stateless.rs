//! INFORMATION-REQUEST: clients that have an address already, or make one themselves.

use super::*;

/// The request of a host that does not even identify itself.
fn nameless() -> Packet {
    let mut packet = message(MessageType::InformationRequest, 1);
    packet.options.remove(code::CLIENT_ID);
    packet
}

/// A server on a link where clients make their addresses themselves.
fn on_stateless(config: &str) -> Lab {
    Lab { interface: Some("eth1"), ..Lab::with(config) }
}

#[test]
fn information_is_given_without_an_address_and_without_an_identifier() {
    let mut lab = Lab::new();
    let mut packet = message(MessageType::InformationRequest, 1);
    packet.options.remove(code::CLIENT_ID);
    packet.options.push(code::OPTION_REQUEST, [0, 23]);
    let reply = lab.answer(&packet, 1);
    assert_eq!(reply.kind, MessageType::Reply);
    assert_eq!(reply.packet.options.get(code::DNS).map(<[u8]>::len), Some(32));
    assert_eq!(reply.packet.options.get(code::IA_NA), None);
    packet.options.push(code::IA_NA, ia(1, None));
    assert_eq!(lab.decide(&packet, link_local(1)).answer, Err(DropReason::Invalid));
}

#[test]
fn who_asks_for_information_does_so_again_before_it_counts_as_gone() {
    let from = ip("fe80::bb:ccff:fe00:1");
    let (mut asking, mut silent) = (nameless(), nameless());
    asking.options.push(code::OPTION_REQUEST, [0, 23, 0, 32]);
    silent.options.push(code::OPTION_REQUEST, [0, 23]);
    let short = CONFIG.replace("mode: stateless", "mode: stateless\n      leaseTime: 1m");
    for (config, packet, seconds, counts) in [
        (CONFIG, &asking, Some(1800), 3600),
        (CONFIG, &nameless(), Some(1800), 3600),
        (short.as_str(), &asking, Some(600), 1200),
        (CONFIG, &silent, None, 2 * 86_400),
    ] {
        let lab = on_stateless(config);
        let Decision { answer, bmc, .. } = lab.decide(packet, from);
        let reply = answer.unwrap();
        let told = reply
            .packet
            .options
            .get(code::REFRESH_TIME)
            .map(|it| u32::from_be_bytes(it.try_into().unwrap()));
        let until = bmc.unwrap().until.duration_since(lab.now).as_secs();
        assert_eq!((told, until), (seconds, counts));
    }
    let bound = Lab::new().answer(&solicit(1), 1);
    assert_eq!(bound.packet.options.get(code::REFRESH_TIME), None, "it has the times of its lease");
}

#[test]
fn on_a_stateless_link_there_is_information_and_no_address() {
    let mut lab = Lab::new();
    lab.interface = Some("eth1");
    let reply = lab.answer(&solicit(1), 1);
    assert_eq!((address(&reply), status(&reply).1), (None, Some(NO_ADDRS)));
    let reply = lab.answer(&message(MessageType::InformationRequest, 1), 1);
    assert_eq!(reply.packet.options.get(code::DNS), Some(&ip("fdaa::3").octets()[..]));
    assert!(lab.leases.is_empty());
}

#[test]
fn who_rebinds_what_another_server_gave_is_left_to_that_server() {
    let mut lab = Lab::new();
    let mut prefixes = message(MessageType::Rebind, 1);
    prefixes.options.push(code::IA_PD, ia(78, None));
    assert_eq!(lab.decide(&prefixes, link_local(1)).answer, Err(DropReason::UnknownClient));
    prefixes.kind = MessageType::Renew as u8;
    prefixes.options.push(code::SERVER_ID, SERVER_ID);
    let told = lab.answer(&prefixes, 1).packet.options;
    assert!(told.get(code::IA_PD).is_some(), "it asks us");

    lab.interface = Some("eth1");
    let rebind = |address| to_any(MessageType::Rebind, 1, ip(address));
    let answer = lab.decide(&rebind("fdaa::5"), link_local(1)).answer;
    assert_eq!(answer, Err(DropReason::UnknownClient));
    let renew = to_server(MessageType::Renew, 1, ip("fdaa::5"));
    assert_eq!(status(&lab.answer(&renew, 1)).1, Some(NO_BINDING));
    let moved = lab.answer(&rebind("fd66::1"), 1);
    assert_eq!((address(&moved), status(&moved)), (None, (None, None)), "it is of another link");
}

#[test]
fn who_asks_for_information_is_known_by_the_same_rules() {
    let mut packet = nameless();
    packet.options.push(code::ARCHITECTURE, [0, 16]);
    // Its link-local address identifies it, also behind a relay that gives nothing better.
    assert_eq!(identity(&packet, link_local(5)).unwrap().mac, Some(mac(5)));
    assert_eq!(identity(&packet, ip("fe80::1:2:3:4")).unwrap().mac, None);
    let mut relayed = relayed(packet, ip("fd88::ff"), link_local(5));
    assert_eq!(identity(&relayed, ip("fd88::ff")).unwrap().mac, Some(mac(5)));
    relayed.relays[0].options.push(code::LINK_LAYER, [0, 1, 2, 0, 0, 0, 0, 6]);
    assert_eq!(identity(&relayed, ip("fd88::ff")).unwrap().mac, Some(mac(6)));
    let lab = on_stateless(&format!("deny: ['02:00:00:00:00:05']{CONFIG}"));
    assert_eq!(lab.decide(&nameless(), link_local(5)).answer, Err(DropReason::Denied));
    assert!(lab.decide(&nameless(), link_local(6)).answer.is_ok());
}

#[test]
fn who_makes_its_address_itself_is_told_what_to_boot() {
    let mut lab = on_stateless(CONFIG);
    let mut packet = nameless();
    packet.options.push(code::ARCHITECTURE, [0, 16]);
    packet.options.push(code::OPTION_REQUEST, [0, 59]);
    let options = lab.answer(&packet, 1).packet.options;
    assert_eq!(options.get(code::BOOT_FILE), Some(&b"http://[fd77::1]:8080/http-boot.efi"[..]));
}

#[test]
fn a_bmc_is_reported_at_the_address_that_it_makes_of_its_mac_address() {
    let bmc = |lab: &Lab, from: &str| {
        lab.decide(&nameless(), ip(from)).bmc.map(|seen| (seen.mac, seen.address))
    };
    let lab = on_stateless(CONFIG);
    let expected = (MacAddr([2, 0xbb, 0xcc, 0, 0, 1]), ip("fdaa::bb:ccff:fe00:1"));
    assert_eq!(bmc(&lab, "fe80::bb:ccff:fe00:1"), Some(expected));
    assert_eq!(bmc(&lab, "fe80::ff:fe00:1"), None, "it is none");
    // It may be identified, but its address is unknown.
    let mut packet = nameless();
    packet.options.push(code::CLIENT_ID, [0, 3, 0, 1, 2, 0xbb, 0xcc, 0, 0, 1]);
    assert_eq!(lab.decide(&packet, ip("fe80::1:2:3:4")).bmc, None);
    // On other links it has an address from us, or will get one.
    assert_eq!(bmc(&Lab::new(), "fe80::bb:ccff:fe00:1"), None);
}
