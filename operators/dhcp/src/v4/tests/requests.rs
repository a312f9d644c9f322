//! RFC 2131, section 4.3.2: one table per state of the client.

use super::*;

const FREE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);

fn kind(lab: &mut Lab, packet: &Packet) -> Result<MessageType, DropReason> {
    lab.send(packet).answer.map(|reply| reply.kind)
}

#[test]
fn an_offer_is_taken_by_who_it_was_made_to() {
    let mut lab = Lab::new();
    let offered = lab.answer(&discover(1)).packet.yiaddr;
    assert_eq!(lab.answer(&discover(1)).packet.yiaddr, offered, "asking again changes nothing");
    assert_eq!(kind(&mut lab, &select(2, offered)), Ok(MessageType::Nak));
    assert_eq!(kind(&mut lab, &select(1, offered)), Ok(MessageType::Ack));
    // The ACK was lost, and the client asks again.
    assert_eq!(kind(&mut lab, &select(1, offered)), Ok(MessageType::Ack));
}

#[test]
fn an_offer_that_was_forgotten_is_made_again() {
    // Offers are not recorded; this is the first packet, long after a restart.
    let mut lab = Lab::new();
    let offered = Lab::new().answer(&discover(1)).packet.yiaddr;
    assert_eq!(kind(&mut lab, &select(1, offered)), Ok(MessageType::Nak));
    assert_eq!(lab.bind(1), offered, "the client starts over, and gets the same");
}

#[test]
fn a_subnet_without_a_range_is_not_exhausted_by_who_has_no_reservation() {
    let mut lab = Lab::new();
    lab.bind(1);
    lab.bind(2);
    let net = lab.config.subnets[0].net;
    let decision = lab.send(&discover(3));
    let expected = (Err(DropReason::NoFreeAddress), Some(net));
    assert_eq!((decision.answer, decision.exhausted), expected, "one of three is reserved");
    let ranges = "    ranges: [10.77.0.100-10.77.0.102]\n";
    let mut reserved = Lab::with(&CONFIG.replacen(ranges, "", 1));
    let decision = reserved.send(&discover(3));
    assert_eq!((decision.answer, decision.exhausted), (Err(DropReason::NotReserved), None));
    assert_eq!(reserved.bind(0x99), Ipv4Addr::new(10, 77, 0, 9));
}

#[test]
fn a_flood_of_requests_that_no_offer_preceded_takes_no_address() {
    let mut lab = Lab::new();
    for client in 0x10..0x90 {
        for address in (100..=102).map(|last| Ipv4Addr::new(10, 77, 0, last)) {
            let sent = [select(client, address), reboot(client, address), renew(client, address)];
            for packet in sent {
                let decision = lab.send(&packet);
                assert_eq!(decision.changes, [], "nothing to remember, nothing to write down");
                let kind = decision.answer.map(|reply| reply.kind);
                assert!(matches!(kind, Ok(MessageType::Nak) | Err(DropReason::UnknownClient)));
            }
        }
    }
    assert!(lab.leases.is_empty());
    assert_ne!(lab.bind(1), lab.bind(2), "others are served");
}

#[test]
fn an_offer_is_free_again_once_the_client_took_another_servers() {
    let mut lab = Lab::new();
    let offered = lab.answer(&discover(1)).packet.yiaddr;
    let mut packet = select(1, [10, 77, 0, 201].into());
    packet.options.set(code::SERVER_ID, [10, 77, 0, 200]);
    assert_eq!(kind(&mut lab, &packet), Err(DropReason::OtherServer));
    assert!(!lab.leases.get(offered).unwrap().holds(lab.now));
}

#[test]
fn addresses_that_are_not_ours_to_give_are_refused() {
    let mut lab = Lab::new();
    for wrong in [
        [10, 77, 0, 50],  // in no range
        [10, 77, 0, 9],   // somebody's reservation
        [10, 77, 0, 102], // somebody's reservation within the range
        [10, 77, 0, 254], // the router
        [10, 77, 0, 1],   // our own
        [10, 88, 0, 10],  // another subnet's
        [192, 168, 0, 1], // nobody's
    ] {
        assert_eq!(kind(&mut lab, &select(1, wrong.into())), Ok(MessageType::Nak), "{wrong:?}");
        assert_eq!(kind(&mut lab, &reboot(1, wrong.into())), Ok(MessageType::Nak), "{wrong:?}");
    }
    assert!(lab.leases.is_empty());
}

#[test]
fn a_client_that_comes_back_keeps_what_is_its_own() {
    for (seconds, rule) in [(10, "while it lasts"), (4000, "after it has ended")] {
        let mut lab = Lab::new();
        let address = lab.bind(1);
        lab.pass(seconds);
        assert_eq!(kind(&mut lab, &reboot(1, address)), Ok(MessageType::Ack), "{rule}");
        assert_eq!(kind(&mut lab, &renew(1, address)), Ok(MessageType::Ack), "{rule}");
        assert_eq!(lab.bind(1), address, "{rule}");
    }
}

#[test]
fn a_renewed_lease_lasts_from_then_on() {
    let mut lab = Lab::new();
    let address = lab.bind(1);
    lab.pass(3000);
    lab.send(&renew(1, address));
    lab.pass(3000);
    assert!(lab.leases.get(address).unwrap().is_bound(lab.now));
    lab.pass(602);
    assert!(!lab.leases.get(address).unwrap().is_bound(lab.now));
}

#[test]
fn another_address_than_the_recorded_one_is_refused() {
    let mut lab = Lab::new();
    let address = lab.bind(1);
    let other = if address == FREE { [10, 77, 0, 101].into() } else { FREE };
    assert_eq!(kind(&mut lab, &reboot(1, other)), Ok(MessageType::Nak));
    assert_eq!(kind(&mut lab, &renew(1, other)), Ok(MessageType::Nak));
    assert_eq!(kind(&mut lab, &renew(2, address)), Ok(MessageType::Nak));
}

#[test]
fn who_is_unknown_is_stopped_by_the_only_server_and_ignored_by_one_of_several() {
    let several = || Lab::with(&format!("authoritative: false{CONFIG}"));
    let silence = Err(DropReason::UnknownClient);
    assert_eq!(kind(&mut Lab::new(), &renew(1, FREE)), Ok(MessageType::Nak));
    assert_eq!(kind(&mut several(), &renew(1, FREE)), silence);
    // It does not use the address yet.
    assert_eq!(kind(&mut Lab::new(), &reboot(1, FREE)), silence);
    assert_eq!(kind(&mut several(), &reboot(1, FREE)), silence);

    let wrong = reboot(1, [192, 168, 0, 1].into());
    assert_eq!(kind(&mut Lab::new(), &wrong), Ok(MessageType::Nak));
    let mut lab = several();
    assert_eq!(kind(&mut lab, &wrong), silence);
    lab.bind(1);
    assert_eq!(kind(&mut lab, &wrong), Ok(MessageType::Nak), "now it is known");
}

#[test]
fn a_request_that_names_no_address_is_not_answered() {
    let packet = packet(MessageType::Request, mac(1));
    assert_eq!(kind(&mut Lab::new(), &packet), Err(DropReason::NoAddress));
}

#[test]
fn a_reserved_address_is_its_owners_only() {
    let mut lab = Lab::new();
    assert_eq!(lab.bind(0x99), Ipv4Addr::new(10, 77, 0, 9));
    assert_eq!(lab.bind(0x98), Ipv4Addr::new(10, 77, 0, 102));
    let (a, b) = (lab.bind(1), lab.bind(2));
    assert_eq!([a.min(b), a.max(b)], [FREE, [10, 77, 0, 101].into()]);
    assert_eq!(lab.send(&discover(3)).answer, Err(DropReason::NoFreeAddress));
}

#[test]
fn a_client_moves_to_its_reservation_when_it_renews() {
    let mut lab = Lab::new();
    let before = lab.bind(1);
    let reservation = "reservations:\n      - { mac: '02:00:00:00:00:01', ip: 10.77.0.20 }";
    lab.config = Config::parse(&CONFIG.replace("reservations:", reservation)).unwrap();
    lab.leases.reconfigure(&lab.config, lab.now);
    assert_eq!(kind(&mut lab, &renew(1, before)), Ok(MessageType::Nak));
    assert_eq!(lab.bind(1), Ipv4Addr::new(10, 77, 0, 20));
    assert!(!lab.leases.get(before).unwrap().holds(lab.now), "it has one address, not two");
}

#[test]
fn a_new_reservation_waits_for_who_has_its_address() {
    let mut lab = Lab::new();
    let taken = lab.bind(1);
    let reservation = format!("reservations:\n      - {{ mac: '02:00:00:00:00:02', ip: {taken} }}");
    lab.config = Config::parse(&CONFIG.replace("reservations:", &reservation)).unwrap();
    lab.leases.reconfigure(&lab.config, lab.now);
    let other = lab.bind(2);
    assert_ne!(other, taken);
    assert_eq!(kind(&mut lab, &renew(2, other)), Ok(MessageType::Ack), "nothing better yet");
    assert_eq!(kind(&mut lab, &renew(1, taken)), Ok(MessageType::Nak), "it is to make room");
    lab.send(&release(1, taken));
    assert_eq!(lab.bind(2), taken);
}
