//! Through one relay and through many.

use super::*;

#[test]
fn the_answer_goes_back_the_way_the_question_came() {
    let mut lab = Lab::new();
    let inner = ip("fd88::ff");
    let mut packet = relayed(solicit(1), inner, link_local(1));
    packet.relays[0].options.push(code::INTERFACE_ID, *b"port 7");
    packet.relays[0].options.push(code::REMOTE_ID, [0, 0, 0, 9, 1]);
    packet.relays[0].options.push(code::LINK_LAYER, [0, 1, 2, 0, 0, 0, 0, 1]);
    let packet = relayed(packet, Ipv6Addr::UNSPECIFIED, inner);
    let reply = lab.send(&packet, ip("fd99::1")).answer.unwrap();
    assert_eq!(reply.to, SocketAddrV6::new(ip("fd99::1"), SERVER_PORT, 0, 3));
    assert!(address(&reply).is_some_and(|address| address.to_string().starts_with("fd88::")));
    let bytes = reply.packet.encode();
    assert_eq!(bytes[0], 13);
    let parsed = Packet::parse(&bytes).unwrap();
    assert_eq!(parsed, reply.packet);
    let relays = parsed.relays.iter().map(|r| (r.is_reply, r.hops, r.link, r.peer));
    assert_eq!(
        relays.collect::<Vec<_>>(),
        [(true, 1, Ipv6Addr::UNSPECIFIED, inner), (true, 0, inner, link_local(1)),]
    );
    assert_eq!(parsed.relays[1].options.get(code::INTERFACE_ID), Some(&b"port 7"[..]));
    assert_eq!(parsed.relays[1].options.get(code::REMOTE_ID), Some(&[0, 0, 0, 9, 1][..]));
    assert_eq!(parsed.relays[1].options.get(code::LINK_LAYER), None);
}

/// A switch between the client and its router may be a relay without an address (RFC 6221).
#[test]
fn the_link_is_what_the_nearest_relay_says_that_names_one() {
    let direct = solicit(1);
    assert_eq!(link_of(&direct), None);
    let switch = relayed(direct, Ipv6Addr::UNSPECIFIED, link_local(1));
    assert_eq!(link_of(&switch), None);
    let router = relayed(switch, ip("fd88::ff"), link_local(1));
    let far = relayed(router, ip("fd77::ff"), ip("fd88::ff"));
    assert_eq!(link_of(&far), Some(ip("fd88::ff")));
}

/// A relay sends from its own address, which is seldom one of the link.
#[test]
fn who_gives_back_through_a_relay_that_is_not_believed_is_answered_and_nothing_changes() {
    let (link, relay) = (ip("fd88::ff"), ip("fd99::1"));
    for kind in [MessageType::Release, MessageType::Decline] {
        let mut lab = Lab::new();
        let offer = lab.send(&relayed(solicit(1), link, link_local(1)), relay).answer.unwrap();
        let mine = address(&offer).unwrap();
        lab.send(&relayed(request(1, mine), link, link_local(1)), relay).answer.unwrap();
        let before = lab.leases.get(mine).unwrap().clone();
        assert!(before.is_bound(lab.now));

        let packet = relayed(to_server(kind, 1, mine), link, link_local(1));
        let reply = lab.send(&packet, relay).answer.unwrap();
        assert_eq!(status(&reply), (Some(0), None), "{kind:?}");
        assert_eq!(lab.leases.get(mine), Some(&before), "{kind:?}");
        // What the client gets if it starts over now.
        let offer = lab.decide(&relayed(solicit(1), link, link_local(1)), relay).answer.unwrap();
        let is_other = address(&offer).unwrap() != mine;
        assert_eq!(is_other, kind == MessageType::Decline, "{kind:?}");
        // Through the configured relay it has an effect.
        lab.send(&packet, ip("fd99::7")).answer.unwrap();
        assert!(!lab.leases.get(mine).unwrap().is_bound(lab.now), "{kind:?}");
    }
}

#[test]
fn whoever_declines_by_a_relay_that_is_not_believed_gets_another_address_and_keeps_it() {
    let (link, relay) = (ip("fd88::ff"), ip("fd99::1"));
    let mut lab = Lab::new();
    let bind = |lab: &mut Lab| {
        let offer = lab.send(&relayed(solicit(1), link, link_local(1)), relay).answer.unwrap();
        let offered = address(&offer).unwrap();
        let request = relayed(request(1, offered), link, link_local(1));
        let reply = lab.send(&request, relay).answer.unwrap();
        assert_eq!(address(&reply), Some(offered));
        offered
    };
    let first = bind(&mut lab);
    let decline = relayed(to_server(MessageType::Decline, 1, first), link, link_local(1));
    lab.send(&decline, relay).answer.unwrap();
    // If it was somebody else, the client renews, and keeps its address.
    let renew = relayed(to_server(MessageType::Renew, 1, first), link, link_local(1));
    assert_eq!(address(&lab.send(&renew, relay).answer.unwrap()), Some(first));
    assert_eq!(bind(&mut lab), first);

    lab.send(&decline, relay).answer.unwrap();
    let second = bind(&mut lab);
    assert_ne!(second, first);
    lab.pass(600);
    assert_eq!(bind(&mut lab), second);
}

/// RFC 4994.
#[test]
fn a_relay_gets_back_what_it_asks_to_be_echoed_and_nothing_that_it_did_not_send() {
    const SUBSCRIBER: u16 = 38;
    let mut lab = Lab::new();
    let mut packet = relayed(solicit(1), ip("fd88::ff"), link_local(1));
    let options = &mut packet.relays[0].options;
    options.push(SUBSCRIBER, *b"tenant");
    options.push(code::LINK_LAYER, [0, 1, 2, 0, 0, 0, 0, 1]);
    options.push(code::INTERFACE_ID, *b"port 7");
    options.push(code::ECHO_REQUEST, [0, 38, 0, 18, 0, 38, 0x12, 0x34, 0]);
    let reply = lab.send(&packet, ip("fd88::ff")).answer.unwrap();
    let options = &reply.packet.relays[0].options;
    assert_eq!(options.get(SUBSCRIBER), Some(&b"tenant"[..]));
    assert_eq!(options.get(code::INTERFACE_ID), Some(&b"port 7"[..]));
    assert_eq!(options.get(code::LINK_LAYER), None, "not asked for");
    assert_eq!(options.len(), 2, "each once");
}

#[test]
fn a_relay_that_asks_at_another_port_is_answered_there() {
    let mut lab = Lab::new();
    let mut packet = relayed(solicit(1), ip("fd88::ff"), link_local(1));
    packet.relays[0].options.push(code::RELAY_PORT, [0, 0]);
    let reply = lab.send(&packet, ip("fd88::ff")).answer.unwrap();
    assert_eq!(reply.to.port(), 5460);
    assert_eq!(reply.packet.relays[0].options.get(code::RELAY_PORT), Some(&[0, 0][..]));
}

#[test]
fn the_link_is_that_of_the_relay_next_to_the_client_that_names_one() {
    let mut lab = Lab::new();
    let own = ip("fe80::5");
    for (links, expected) in [
        (vec!["fd88::ff"], Some("fd88::")),
        // A relay outside of the subnet.
        (vec!["fd99::7"], Some("fd88::")),
        // A layer-2 relay (RFC 6221) does not name the link.
        (vec!["::", "fd88::ff"], Some("fd88::")),
        (vec!["fd88::ff", "fd77::ff"], Some("fd88::")),
        (vec!["::"], Some("fd77::")),
        (vec!["fd66::ff"], None),
    ] {
        let relay = |packet, link: &&str| relayed(packet, ip(link), link_local(1));
        let packet = links.iter().fold(solicit(1), relay);
        let answer = lab.send(&packet, own).answer;
        let network = answer.map(|reply| address(&reply).unwrap().to_string());
        match expected {
            Some(start) => assert!(network.is_ok_and(|it| it.starts_with(start)), "{links:?}"),
            None => assert_eq!(network, Err(DropReason::NoSubnet)),
        }
    }
}

#[test]
fn relays_up_to_the_hop_count_limit_are_served_and_no_more() {
    let mut lab = Lab::new();
    let relay = |packet, _| relayed(packet, ip("fd88::ff"), link_local(1));
    let packet = (0..9).fold(solicit(1), relay);
    assert_eq!(packet.relays[0].hops, 8);
    let parsed = Packet::parse(&packet.encode()).unwrap();
    assert_eq!(parsed, packet);
    assert_eq!(lab.send(&parsed, ip("fd88::ff")).answer.unwrap().packet.relays.len(), 9);
    let bytes = (0..10).fold(solicit(1), relay).encode();
    assert_eq!(Packet::parse(&bytes), Err(PacketError::TooManyRelays));
}

#[test]
fn what_a_server_sent_to_a_relay_is_no_question() {
    let lab = Lab::new();
    let mut packet = relayed(solicit(1), ip("fd88::ff"), link_local(1));
    packet.relays[0].is_reply = true;
    assert_eq!(lab.decide(&packet, ip("fd88::ff")).answer, Err(DropReason::NotRequest));
}
