//! Which clients count as BMCs, by the way that their packets took. The rule is that of DHCPv4.

use super::*;

/// BMCs are behind relays; tenants are on the link.
const SITE: &str = "
dhcp6:
  interfaces: [eth1]
  relays: ['fd99::99']
  subnets:
    - { subnet: 'fd77::/64', ranges: ['fd77::100-fd77::1ff'] }
    - { subnet: 'fd66::/64', ranges: ['fd66::100-fd66::1ff'], bmc: true, relays: ['fd99::7'] }
    - { subnet: 'fd65::/64', ranges: ['fd65::100-fd65::1ff'], bmc: true }
";
const BMC: MacAddr = MacAddr([2, 0xbb, 0xcc, 0, 0, 1]);

/// A message of a BMC, through a relay if `link` is given.
fn by(kind: MessageType, link: Option<&str>, address: Option<Ipv6Addr>) -> Packet {
    let mut packet = Packet { kind: kind as u8, ..Packet::default() };
    packet.options.push(code::CLIENT_ID, [&[0, 3, 0, 1][..], &BMC.0].concat());
    packet.options.push(code::IA_NA, ia(1, address));
    if kind == MessageType::Request {
        packet.options.push(code::SERVER_ID, SERVER_ID);
    }
    match link {
        Some(link) => relayed(packet, ip(link), link_local(1)),
        None => packet,
    }
}

/// Sends SOLICIT and REQUEST.
fn asking(lab: &mut Lab, link: Option<&str>, from: &str) -> Decision {
    let offer = lab.send(&by(MessageType::Solicit, link, None), ip(from));
    let offered = offer.answer.ok().and_then(|reply| address(&reply));
    lab.send(&by(MessageType::Request, link, offered), ip(from))
}

#[test]
fn a_bmc_counts_only_in_a_subnet_of_bmcs_and_through_a_relay_that_speaks_for_it() {
    for (link, from, is_answered, is_bmc) in [
        // On the link of tenants.
        (None, "fe80::bb:ccff:fe00:1", true, false),
        (Some("fd77::fe"), "fd77::fe", true, false),
        // Forged.
        (Some("fd66::fe"), "fd77::66", false, false),
        (Some("fd99::7"), "fd77::66", false, false),
        (Some("fd65::fe"), "fd99::7", false, false),
        (Some("fd66::fe"), "fe80::66", false, false),
        // A relay's own address, or a listed one.
        (Some("fd65::fe"), "fd65::fe", true, true),
        (Some("fd99::7"), "fd99::7", true, true),
        (Some("fd66::fe"), "fd99::7", true, true),
        (Some("fd65::fe"), "fd99::99", true, true),
    ] {
        let decision = asking(&mut Lab::with(SITE), link, from);
        assert_eq!(decision.bmc.is_some(), is_bmc, "{link:?} from {from}");
        let refused = decision.answer == Err(DropReason::UnknownRelay);
        assert_eq!((refused, decision.changes.is_empty()), (!is_answered, !is_answered));
    }
}

#[test]
fn a_forged_relay_takes_no_address_of_a_subnet_of_bmcs() {
    let mut lab = Lab::with(SITE);
    for host in 0..=255 {
        for packet in [
            solicit(host),
            request(host, Ipv6Addr::from_bits(ip("fd66::100").to_bits() + u128::from(host))),
        ] {
            let packet = relayed(packet, ip("fd66::fe"), link_local(host));
            let decision = lab.send(&packet, ip("fd77::66"));
            let refused = (Err(DropReason::UnknownRelay), vec![]);
            assert_eq!((decision.answer, decision.changes), refused);
        }
    }
    assert!(asking(&mut lab, Some("fd66::fe"), "fd99::7").bmc.is_some(), "there is one left");
    // Hosts without the prefix of a BMC are served through relays that are believed.
    let packet = relayed(solicit(1), ip("fd66::fe"), link_local(1));
    assert!(lab.send(&packet, ip("fd99::7")).answer.is_ok());
}

#[test]
fn of_several_subnets_on_a_link_that_of_a_reservation_counts_or_the_first() {
    let mut lab = Lab::with(
        "dhcp6:
  interfaces: [eth1]
  subnets:
    - { subnet: 'fd77::/64', ranges: ['fd77::100-fd77::1ff'] }
    - subnet: fd78::/64
      ranges: ['fd78::100-fd78::1ff']
      reservations: [{ mac: '02:00:00:00:00:98', ip: 'fd78::9' }]
",
    );
    lab.addresses = vec![ip("fd78::1"), SERVER];
    assert!(lab.bind(1).to_string().starts_with("fd77::1"));
    assert_eq!(lab.bind(0x98), ip("fd78::9"));
}

#[test]
fn who_names_no_link_is_on_ours_only_from_an_address_of_the_link() {
    let mut lab = Lab::with(
        "dhcp6: { interfaces: [eth1], subnets: [{ subnet: 'fd77::/64', \
                             ranges: ['fd77::100-fd77::1ff'] }] }\n",
    );
    let nowhere = Some("::");
    assert_eq!(asking(&mut lab, nowhere, "fd50::9").answer, Err(DropReason::UnknownRelay));
    assert!(asking(&mut lab, nowhere, "fe80::9").bmc.is_some());
}

#[test]
fn a_lease_of_a_bmc_in_another_subnet_that_still_runs_is_told_with_it() {
    let mut lab = Lab::with(SITE);
    let there = asking(&mut lab, Some("fd99::7"), "fd99::7").bmc.unwrap().address;
    let until = lab.leases.get(there).unwrap().until;
    let seen = asking(&mut lab, Some("fd65::fe"), "fd65::fe").bmc.unwrap();
    assert_eq!(seen.elsewhere, Some((there, until)));
    lab.pass(3700);
    assert_eq!(asking(&mut lab, Some("fd65::fe"), "fd65::fe").bmc.unwrap().elsewhere, None);
}
