//! Which clients count as BMCs, by the way that their packets took.

use super::*;

const BMC: MacAddr = MacAddr([0x02, 0xbb, 0xcc, 0, 0, 1]);

/// BMCs have a subnet behind a relay, and one whose relay is not listed; tenants are on the link.
const SITE: &str = "
interfaces: [eth1]
relays: [10.99.0.1]
subnets:
  - { subnet: 10.77.0.0/24, ranges: [10.77.0.100-10.77.0.199] }
  - { subnet: 10.66.0.0/24, ranges: [10.66.0.100-10.66.0.199], bmc: true, relays: [192.0.2.7] }
  - { subnet: 10.65.0.0/24, ranges: [10.65.0.100-10.65.0.199], bmc: true }
boot: { ipxe: 'http://10.77.0.2/ipxe', nextServer: 10.77.0.2, bios: undionly.kpxe }
";

/// A request for an address, sent from `from`, through a relay with this `giaddr`.
fn asking(lab: &mut Lab, giaddr: [u8; 4], from: [u8; 4], address: [u8; 4]) -> Decision {
    let mut packet = packet(MessageType::Discover, BMC);
    packet.giaddr = giaddr.into();
    packet.options.set(code::REQUESTED_ADDRESS, address);
    lab.arrival.from = to(from, 67);
    let offered = lab.send(&packet);
    assert_eq!(offered.bmc, None, "an offer is no address yet");
    if let Ok(offer) = offered.answer {
        packet.options.set(code::SERVER_ID, SERVER.octets());
        packet.options.set(code::REQUESTED_ADDRESS, offer.packet.yiaddr.octets());
    }
    packet.options.set(code::MESSAGE_TYPE, [MessageType::Request as u8]);
    lab.send(&packet)
}

#[test]
fn a_bmc_counts_only_in_a_subnet_of_bmcs() {
    let mut lab = Lab::with(SITE);
    let decision = asking(&mut lab, [0; 4], [0; 4], [10, 77, 0, 150]);
    assert!(decision.answer.is_ok(), "it is a client like any other: {:?}", decision.answer);
    assert_eq!(decision.bmc, None);
    let decision = asking(&mut lab, [10, 66, 0, 254], [192, 0, 2, 7], [10, 66, 0, 150]);
    assert_eq!(decision.bmc.map(|seen| seen.address), Some([10, 66, 0, 150].into()));
}

#[test]
fn what_a_forged_relay_says_of_a_bmc_is_not_heard() {
    for (giaddr, from, is_heard) in [
        // Unicast from anywhere.
        ([10, 66, 0, 254], [10, 77, 0, 66], false),
        ([192, 0, 2, 7], [10, 77, 0, 66], false),
        ([10, 65, 0, 254], [192, 0, 2, 7], false),
        ([0; 4], [10, 66, 0, 66], false),
        // A relay's own address, or a listed one.
        ([10, 65, 0, 254], [10, 65, 0, 254], true),
        ([192, 0, 2, 7], [192, 0, 2, 7], true),
        ([10, 66, 0, 254], [192, 0, 2, 7], true),
        ([10, 65, 0, 254], [10, 99, 0, 1], true),
    ] {
        let mut lab = Lab::with(SITE);
        let mut decision = asking(&mut lab, giaddr, from, [10, 66, 0, 150]);
        if giaddr == [0; 4] {
            // It claims the other subnet in every possible way.
            let mut packet = packet(MessageType::Request, BMC);
            packet.ciaddr = [10, 66, 0, 150].into();
            packet.options.set(code::RELAY, [5, 4, 10, 66, 0, 0]);
            for with_option in [true, false] {
                if !with_option {
                    packet.options.set(code::RELAY, []);
                }
                for source in [[10, 66, 0, 66], [0; 4]] {
                    lab.arrival.from = to(source, 68);
                    decision = lab.send(&packet);
                    assert_eq!(decision.answer, Err(DropReason::UnknownRelay));
                }
            }
        }
        assert_eq!(decision.bmc.is_some(), is_heard, "{giaddr:?} from {from:?}");
        let refused = decision.answer == Err(DropReason::UnknownRelay);
        assert_eq!((refused, decision.changes.is_empty()), (!is_heard, !is_heard));
    }
}

/// All that anybody in another network needs is a packet per address: the answers go to the relay that
/// it has named.
#[test]
fn a_forged_relay_takes_no_address_of_a_subnet_of_bmcs() {
    let mut lab = Lab::with(SITE);
    let from = [10, 77, 0, 66];
    for last in 100..=199 {
        lab.arrival.from = to(from, 67);
        let mut forged = [
            Packet { giaddr: [10, 66, 0, 254].into(), ..discover(last) },
            Packet { giaddr: [10, 66, 0, 254].into(), ..select(last, [10, 66, 0, last].into()) },
            Packet { giaddr: from.into(), ..select(last, [10, 66, 0, last].into()) },
        ];
        forged[2].options.set(code::RELAY, [5, 4, 10, 66, 0, 254]);
        for packet in &forged {
            let decision = lab.send(packet);
            let refused = (Err(DropReason::UnknownRelay), vec![]);
            assert_eq!((decision.answer, decision.changes), refused);
        }
    }
    assert_eq!(lab.leases.len(), 0);
    let decision = asking(&mut lab, [10, 66, 0, 254], [192, 0, 2, 7], [10, 66, 0, 150]);
    assert!(decision.bmc.is_some(), "there is one left: {:?}", decision.answer);
    // Hosts without the prefix of a BMC are served through relays that are believed.
    lab.arrival.from = to([192, 0, 2, 7], 67);
    let packet = Packet { giaddr: [10, 66, 0, 254].into(), ..discover(1) };
    assert!(lab.send(&packet).answer.is_ok());
}

/// Where nothing says that a subnet is for BMCs, a relay need not be listed for hosts.
#[test]
fn in_the_only_subnet_hosts_behind_a_relay_that_is_not_listed_get_addresses() {
    let mut lab = Lab::with(
        "interfaces: [eth1]\nsubnets: [{ subnet: 10.66.0.0/24, ranges: [10.66.0.100-10.66.0.199] }]\n",
    );
    lab.arrival.from = to([192, 0, 2, 1], 67);
    let relayed = |packet| Packet { giaddr: [10, 66, 0, 254].into(), ..packet };
    assert!(lab.send(&relayed(discover(1))).answer.is_ok());
    let bmc = relayed(packet(MessageType::Discover, BMC));
    assert_eq!(lab.send(&bmc).answer, Err(DropReason::UnknownRelay));
}

#[test]
fn who_names_no_relay_selects_no_link() {
    let mut lab = Lab::with(SITE);
    let mut packet = discover(1);
    packet.options.set(code::RELAY, [5, 4, 10, 66, 0, 254]);
    let offer = lab.answer(&packet).packet.yiaddr;
    assert_eq!(offer.octets()[..3], [10, 77, 0], "that of its link");
}

#[test]
fn the_link_that_a_relay_selects_is_not_believed_of_a_relay_of_another_subnet() {
    let mut lab = Lab::with(SITE);
    let mut packet = packet(MessageType::Discover, BMC);
    packet.giaddr = [10, 77, 0, 66].into();
    packet.options.set(code::RELAY, [5, 4, 10, 66, 0, 0]);
    lab.arrival.from = to([10, 77, 0, 66], 67);
    assert_eq!(lab.decide(&packet).answer, Err(DropReason::UnknownRelay));
    lab.arrival.from = to([192, 0, 2, 7], 67);
    assert!(lab.decide(&packet).answer.is_ok());
}

#[test]
fn a_bmc_on_the_link_may_speak_from_an_address_of_the_link_that_it_does_not_ask_for() {
    let mut lab = Lab::new();
    for (from, is_heard) in [([0; 4], true), ([10, 77, 0, 2], true), ([10, 66, 0, 2], false)] {
        lab.arrival.from = to(from, 68);
        let answer = lab.send(&packet(MessageType::Discover, BMC)).answer;
        assert_eq!(answer.is_ok(), is_heard, "{from:?}: {answer:?}");
    }
}

#[test]
fn a_bmc_renews_from_its_own_address_past_the_relay() {
    let mut lab = Lab::with(SITE);
    let address = Ipv4Addr::new(10, 66, 0, 150);
    asking(&mut lab, [10, 66, 0, 254], [192, 0, 2, 7], address.octets());
    let packet = Packet { ciaddr: address, ..packet(MessageType::Request, BMC) };
    lab.arrival.from = to([10, 77, 0, 66], 68);
    assert_eq!(lab.send(&packet).answer, Err(DropReason::UnknownRelay));
    lab.arrival.from = to(address.octets(), 68);
    let decision = lab.send(&packet);
    assert_eq!(decision.bmc.map(|seen| seen.address), Some(address));
}

#[test]
fn a_lease_of_a_bmc_in_another_subnet_that_still_runs_is_told_with_it() {
    let mut lab = Lab::with(SITE);
    let there = Ipv4Addr::new(10, 66, 0, 150);
    asking(&mut lab, [10, 66, 0, 254], [192, 0, 2, 7], there.octets());
    let until = lab.leases.get(there).unwrap().until;
    let seen = asking(&mut lab, [10, 65, 0, 254], [10, 65, 0, 254], [10, 65, 0, 150]).bmc.unwrap();
    assert_eq!((seen.address, seen.elsewhere), ([10, 65, 0, 150].into(), Some((there, until))));
    lab.pass(3700);
    let seen = asking(&mut lab, [10, 65, 0, 254], [10, 65, 0, 254], [10, 65, 0, 150]).bmc.unwrap();
    assert_eq!(seen.elsewhere, None, "it is past");
}

#[test]
fn who_is_elsewhere_cannot_give_back_what_somebody_has() {
    let mut lab = Lab::without_bmcs();
    let address = lab.bind(1);
    for packet in [release(1, address), decline(1, address)] {
        for (from, giaddr) in [([10, 50, 0, 9], [0; 4]), ([10, 50, 0, 9], [10, 77, 0, 254])] {
            let mut lab = Lab { leases: lab.leases.clone(), ..Lab::without_bmcs() };
            lab.arrival.from = to(from, 68);
            let packet = Packet { giaddr: giaddr.into(), ..packet.clone() };
            let decision = lab.send(&packet);
            assert_eq!((decision.answer, decision.changes), (Err(DropReason::NotTheirs), vec![]));
        }
        let mut lab = Lab { leases: lab.leases.clone(), ..Lab::without_bmcs() };
        if !packet.ciaddr.is_unspecified() {
            lab.arrival.from = to(address.octets(), 68);
        }
        assert_eq!(lab.send(&packet).changes.len(), 1, "itself it can");
    }
}

#[test]
fn a_machine_with_the_prefix_of_a_bmc_boots_where_there_are_no_bmcs() {
    let mut lab = Lab::with(SITE);
    let mut packet = packet(MessageType::Discover, BMC);
    packet.options.set(code::ARCHITECTURE, [0, 0]);
    packet.options.set(code::MACHINE_ID, [0; 17]);
    assert_eq!(lab.answer(&packet).packet.file, b"undionly.kpxe");
}
