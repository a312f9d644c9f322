//! The lifecycle of a lease, and its record on disk.

use super::*;
use crate::lease::{
    Count, MOST_OFFERS,
    record::{self, Replay, replay},
};

#[test]
fn a_released_address_stays_its_clients_until_somebody_needs_it() {
    let mut lab = Lab::new();
    let (one, _two) = (lab.bind(1), lab.bind(2));
    let decision = lab.send(&release(1, one));
    assert_eq!(decision.answer, Err(DropReason::Released));
    assert!(!lab.leases.get(one).unwrap().holds(lab.now));
    assert_eq!(lab.bind(1), one, "it is back");

    lab.send(&release(1, one));
    assert_eq!(lab.bind(3), one, "somebody needs it");
    assert_eq!(lab.send(&discover(1)).answer, Err(DropReason::NoFreeAddress));
}

#[test]
fn nobody_gives_back_what_is_not_its_own() {
    let mut lab = Lab::new();
    let one = lab.bind(1);
    for packet in [release(2, one), decline(2, one), release(1, [10, 77, 0, 50].into())] {
        let decision = lab.send(&packet);
        assert_eq!((decision.answer, decision.changes), (Err(DropReason::NotTheirs), vec![]));
    }
    let mut packet = release(1, one);
    packet.options.set(code::SERVER_ID, [10, 77, 0, 200]);
    assert_eq!(lab.send(&packet).answer, Err(DropReason::OtherServer));
    assert!(lab.leases.get(one).unwrap().is_bound(lab.now));
}

#[test]
fn a_lease_is_given_back_by_its_client_from_its_address_only() {
    let mut lab = Lab::without_bmcs();
    let one = lab.bind(1);
    let mut foreign_id = release(1, one);
    foreign_id.options.set(code::CLIENT_ID, [1, 2, 0, 0, 0, 0, 2]);
    for packet in [foreign_id, release(2, one), decline(2, one)] {
        assert_eq!(lab.send(&packet).answer, Err(DropReason::NotTheirs));
    }
    for from in [[10, 77, 0, 50], [10, 88, 0, 9], [192, 0, 2, 1]] {
        lab.arrival.from = to(from, 68);
        for packet in [release(1, one), decline(1, one)] {
            assert_eq!(lab.send(&packet).answer, Err(DropReason::NotTheirs), "{from:?}");
        }
    }
    // In its name, from the link of another subnet.
    lab.arrival.from = to([10, 88, 0, 1], 67);
    let elsewhere = Packet { giaddr: [10, 88, 0, 1].into(), ..decline(1, one) };
    assert_eq!(lab.send(&elsewhere).answer, Err(DropReason::NotTheirs));
    assert!(lab.leases.get(one).unwrap().is_bound(lab.now));
    lab.arrival.from = SocketAddrV4::new(one, 68);
    let mut own = release(1, one);
    own.options.set(code::CLIENT_ID, [1, 2, 0, 0, 0, 0, 1]);
    assert_eq!(lab.send(&own).answer, Err(DropReason::Released));
}

#[test]
fn a_declined_address_rests() {
    let mut lab = Lab::new();
    let one = lab.bind(1);
    assert_eq!(lab.send(&decline(1, one)).answer, Err(DropReason::Declined));
    let other = lab.bind(1);
    assert_ne!(other, one, "not even its client gets it");
    assert_eq!(lab.send(&discover(2)).answer, Err(DropReason::NoFreeAddress));
    assert_eq!(lab.leases.count(lab.now).declined, 1);
    lab.pass(3601);
    lab.send(&renew(1, other));
    assert_eq!(lab.bind(2), one);
}

/// Through a relay that is not listed, and whose source address is another one of its own.
#[test]
fn whoever_declines_by_a_relay_that_is_not_believed_gets_another_address_and_nobody_loses_one() {
    let mut lab = Lab::new();
    lab.arrival.from = to([192, 0, 2, 1], 67);
    let relayed = |packet: Packet| Packet { giaddr: [10, 88, 0, 1].into(), ..packet };
    let bind = |lab: &mut Lab, client: u8| {
        let offered = lab.answer(&relayed(discover(client))).packet.yiaddr;
        let ack = lab.answer(&relayed(select(client, offered)));
        assert_eq!((ack.kind, ack.packet.yiaddr), (MessageType::Ack, offered));
        offered
    };
    let first = bind(&mut lab, 1);
    let declined = lab.send(&relayed(decline(1, first)));
    assert_eq!((&declined.answer, &declined.changes), (&Err(DropReason::NotTheirs), &vec![]));
    assert!(lab.leases.get(first).unwrap().is_bound(lab.now), "anybody can say so");

    // If it was somebody else, the client renews, and keeps its address.
    let ack = lab.answer(&relayed(renew(1, first)));
    assert_eq!((ack.kind, ack.packet.yiaddr), (MessageType::Ack, first));
    assert_eq!(bind(&mut lab, 1), first);

    lab.send(&relayed(decline(1, first)));
    lab.pass(10);
    let offer = lab.send(&relayed(discover(1)));
    let second = offer.answer.unwrap().packet.yiaddr;
    assert_ne!(second, first);
    assert_eq!(offer.probe, Some(second));
    assert_eq!(bind(&mut lab, 1), second);
    // Whoever gets the first one next has it probed.
    let mut wishes = relayed(discover(2));
    wishes.options.set(code::REQUESTED_ADDRESS, first.octets());
    let offer = lab.send(&wishes);
    assert_eq!((offer.answer.unwrap().packet.yiaddr, offer.probe), (first, Some(first)));
    lab.pass(600);
    assert_eq!(bind(&mut lab, 1), second, "it does not come back");

    // Another client's, or with another identifier, nothing is doubted.
    let mut foreign_id = relayed(decline(1, second));
    foreign_id.options.set(code::CLIENT_ID, [1, 2, 0, 0, 0, 0, 2]);
    for packet in [foreign_id, relayed(decline(2, second))] {
        assert_eq!(lab.send(&packet).doubted, None);
    }
}

#[test]
fn a_client_gets_what_it_seems_to_have_declined_if_there_is_nothing_else() {
    let mut lab = Lab::new();
    let (one, two) = (lab.bind(1), lab.bind(2));
    lab.leases.doubt(one, lab.now);
    assert_eq!(lab.bind(1), one);

    let reserved = lab.bind(0x98);
    lab.send(&release(2, two));
    lab.leases.doubt(reserved, lab.now);
    let other = lab.bind(0x98);
    assert_ne!(other, reserved, "nor is a reservation forced upon its client");
    lab.pass(600);
    assert_eq!(lab.answer(&renew(0x98, other)).kind, MessageType::Nak, "it moves back in time");
    assert_eq!(lab.bind(0x98), reserved);
}

#[test]
fn a_declined_reservation_is_not_forced_upon_its_client() {
    let mut lab = Lab::new();
    let reserved = lab.bind(0x99);
    lab.send(&decline(0x99, reserved));
    assert_ne!(lab.bind(0x99), reserved);
    lab.pass(3601);
    assert_eq!(lab.bind(0x99), reserved);
}

#[test]
fn the_address_that_is_past_longest_is_given_away_first() {
    let mut lab = Lab::new();
    let one = lab.bind(1);
    lab.pass(10);
    let two = lab.bind(2);
    lab.pass(3602);
    assert_eq!([lab.bind(3), lab.bind(4)], [one, two]);
}

#[test]
fn a_client_finds_the_same_address_when_everything_was_lost() {
    let config = CONFIG.replace("10.77.0.100-10.77.0.102", "10.77.0.100-10.77.0.199");
    let addresses: Vec<_> = (1..20).map(|mac| Lab::with(&config).bind(mac)).collect();
    assert_eq!(addresses, (1..20).map(|mac| Lab::with(&config).bind(mac)).collect::<Vec<_>>());
    assert!(addresses.iter().any(|address| *address != addresses[0]), "they are spread");
}

#[test]
fn a_client_gets_the_address_it_wishes_if_that_is_free() {
    let mut lab = Lab::new();
    for (client, wish) in [(1, [10, 77, 0, 101]), (2, [10, 77, 0, 100])] {
        let mut packet = discover(client);
        packet.options.set(code::REQUESTED_ADDRESS, wish);
        assert_eq!(lab.answer(&packet).packet.yiaddr, Ipv4Addr::from(wish));
    }
}

#[test]
fn our_own_address_is_never_given_away() {
    let mut lab = Lab::new();
    lab.arrival.server = [10, 77, 0, 100].into();
    let other = Ipv4Addr::new(10, 77, 0, 101);
    assert_eq!(lab.answer(&discover(1)).packet.yiaddr, other);
    assert_eq!(lab.answer(&discover(2)).packet.yiaddr, other, "whoever asks first gets it");
    let mut request = select(1, other);
    request.options.set(code::SERVER_ID, lab.arrival.server.octets());
    assert_eq!(lab.answer(&request).kind, MessageType::Ack);
    assert_eq!(lab.send(&discover(2)).answer, Err(DropReason::NoFreeAddress));
}

#[test]
fn a_client_without_a_mac_address_is_known_by_its_identifier() {
    let mut lab = Lab::new();
    let mut infiniband = Packet { htype: 32, hlen: 0, ..discover(1) };
    infiniband.options.set(code::CLIENT_ID, [255, 0, 1, 2]);
    let address = lab.answer(&infiniband).packet.yiaddr;
    let client = Client::Id([255, 0, 1, 2].into());
    assert_eq!(lab.leases.get(address).unwrap().client, client);
    assert_eq!(client.to_string().parse(), Ok(client));
    for wrong in ["id-0", "id-0g", "aa:bb", ""] {
        assert!(wrong.parse::<Client>().is_err(), "{wrong}");
    }
}

#[test]
fn leases_survive_a_change_of_the_ranges() {
    let mut lab = Lab::new();
    let one = lab.bind(1);
    lab.config = Config::parse(&CONFIG.replace("100-10.77.0.102", "110-10.77.0.120")).unwrap();
    lab.leases.reconfigure(&lab.config, lab.now);
    assert!(lab.leases.get(one).unwrap().is_bound(lab.now));
    let nak = lab.answer(&renew(1, one));
    assert_eq!(nak.kind, MessageType::Nak, "the range is gone");
    let moved = lab.bind(1);
    assert_eq!(moved.octets()[3] / 10, 11);
    lab.leases.reconfigure(&lab.config, lab.now);
    assert_eq!(lab.leases.get(one), None, "nobody needs to remember it");
}

#[test]
fn leases_are_counted_by_what_they_mean_now() {
    let mut lab = Lab::new();
    lab.bind(1);
    let two = lab.bind(2);
    lab.send(&release(2, two));
    lab.answer(&discover(0x99));
    let count = Count { pool: 14, offered: 1, bound: 1, declined: 0, past: 1, kept: 0 };
    assert_eq!(lab.leases.count(lab.now), count);
    assert_eq!((lab.leases.len(), lab.leases.is_empty()), (3, false));
}

fn log(leases: &[Lease]) -> String {
    let mut log = String::new();
    for lease in leases {
        record::write(&mut log, lease);
    }
    log
}

fn three_leases() -> Vec<Lease> {
    let mut lab = Lab::new();
    lab.bind(1);
    let two = lab.bind(2);
    lab.send(&decline(2, two));
    let mut nameless = Packet { hlen: 0, ..select(3, [10, 88, 0, 11].into()) };
    nameless.giaddr = [10, 88, 0, 1].into();
    nameless.options.set(code::CLIENT_ID, [1, 2, 3]);
    lab.send(&nameless);
    lab.leases.all().into_iter().cloned().collect()
}

#[test]
fn a_log_brings_back_what_was_written() {
    let leases = three_leases();
    let log = log(&leases);
    assert_eq!(replay(log.as_bytes()), Replay { leases, end: log.len(), damaged: 0 });
    let nothing = Replay::<Ipv4Addr> { leases: Vec::new(), end: 0, damaged: 0 };
    assert_eq!(replay(b""), nothing);
    let first = log.lines().next().unwrap();
    assert_eq!(first.split(' ').count(), 5, "{first}");
}

#[test]
fn a_line_of_another_version_is_read_and_written_as_it_was() {
    let line = "1b8fa171 10.77.0.133 bound 1795252434 52:54:00:12:34:56\n";
    let replay = replay::<Ipv4Addr>(line.as_bytes());
    assert_eq!((replay.leases.len(), replay.damaged), (1, 0));
    assert_eq!(log(&replay.leases), line);
}

#[test]
fn a_log_torn_at_any_byte_loses_only_the_torn_line() {
    let leases = three_leases();
    let log = log(&leases);
    for end in 0..=log.len() {
        let whole = log[..end].matches('\n').count();
        let replay = replay(&log.as_bytes()[..end]);
        assert_eq!((replay.leases.as_slice(), replay.damaged), (&leases[..whole], 0), "{end}");
        // A line appended there is read back.
        let mut continued = log[..replay.end].to_owned();
        record::write(&mut continued, &leases[0]);
        assert_eq!(record::replay(continued.as_bytes()).leases.last(), Some(&leases[0]));
    }
}

#[test]
fn a_damaged_byte_costs_one_line() {
    let leases = three_leases();
    let log = log(&leases).into_bytes();
    for at in 0..log.len() {
        for flip in [1, 0x80] {
            let mut log = log.clone();
            log[at] ^= flip;
            let replay = replay(&log);
            assert!(replay.leases.iter().all(|lease| leases.contains(lease)), "{at}");
            // A damaged line end affects the next line, too.
            assert!(replay.leases.len() >= leases.len() - 2, "{at}");
            assert!(replay.leases.len() < leases.len() || log[at] == b'\n', "{at}");
        }
    }
}

#[test]
fn offers_to_ever_new_clients_take_bounded_room_and_leases_are_untouched() {
    let mut leases = Leases::new(
        &Config::parse(
            "interfaces: [a]\nsubnets: [{ subnet: 10.0.0.0/8, ranges: [10.1.0.0-10.200.255.255] }]",
        )
        .unwrap(),
    );
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let lease = |number: u32, state| {
        let [a, b, c, d] = number.to_be_bytes();
        let client = Client::Mac(MacAddr([2, 0, a, b, c, d]));
        let until = now + SignedDuration::from_secs(60 + i64::from(number / 1000));
        let address = Ipv4Addr::from_bits(0x0a01_0000 + number);
        Lease { address, client, state, until, binding: None }
    };
    leases.apply(lease(0, State::Bound));
    let most = u32::try_from(MOST_OFFERS).unwrap();
    for number in 1..=2 * most {
        leases.apply(lease(number, State::Offered));
    }
    assert_eq!(leases.len(), MOST_OFFERS + 1);
    let kept = |number| leases.get(lease(number, State::Offered).address).is_some();
    assert!(kept(0) && kept(2 * most), "the lease, and the latest offer");
    assert!(!kept(1), "the oldest offer");
    let count = leases.count(now);
    assert_eq!((count.bound, count.offered), (1, MOST_OFFERS));
}

#[test]
fn the_address_of_a_recorded_bmc_is_given_to_nobody_else_while_it_is_away() {
    let mut lab = Lab::new();
    let (one, two) = (lab.bind(1), lab.bind(2));
    lab.send(&release(1, one));
    lab.leases.keep_for([(one, mac(1))].into());
    assert_eq!(lab.leases.count(lab.now).kept, 1);
    assert_eq!(lab.send(&discover(3)).answer, Err(DropReason::NoFreeAddress), "only this is left");
    // Nor does anybody get it who asks for it.
    lab.send(&release(2, two));
    let mut wishes = discover(3);
    wishes.options.set(code::REQUESTED_ADDRESS, one.octets());
    assert_eq!(lab.send(&wishes).answer.unwrap().packet.yiaddr, two);
    assert_eq!(lab.bind(1), one, "it is back");
    assert_eq!(lab.leases.count(lab.now).kept, 0);
    lab.send(&release(1, one));
    lab.leases.keep_for([].into());
    assert_eq!(lab.bind(4), one, "it is recorded no longer");
}

/// The board of a BMC was replaced, and its reservation changed, but the Endpoint of the old one is still
/// there.
#[test]
fn whose_reserved_address_is_kept_for_a_bmc_gets_another_one_until_it_is_free() {
    let mut lab = Lab::new();
    let reserved = Ipv4Addr::new(10, 77, 0, 9);
    lab.leases.keep_for([(reserved, mac(1))].into());
    let other = lab.bind(0x99);
    assert_ne!(other, reserved);
    let renewed = lab.answer(&renew(0x99, other));
    assert_eq!((renewed.kind, renewed.packet.yiaddr), (MessageType::Ack, other));
    lab.leases.keep_for([].into());
    assert_eq!(lab.answer(&renew(0x99, other)).kind, MessageType::Nak, "it is to move");
    assert_eq!(lab.bind(0x99), reserved);
}

#[test]
fn none_of_our_own_addresses_on_a_link_is_offered() {
    const OWN: &[Ipv4Addr] =
        &[SERVER, Ipv4Addr::new(10, 77, 0, 100), Ipv4Addr::new(10, 77, 0, 101)];
    let mut lab = Lab::new();
    lab.arrival.link = OWN;
    assert_eq!(lab.send(&discover(1)).answer, Err(DropReason::NoFreeAddress), "all are ours");
}
