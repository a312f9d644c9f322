use super::*;
use crate::v4::{Arrival, DropReason as V4DropReason, SERVER_PORT};
use metal_api::MacAddr;
use metal_core::dice::SeededRng;
use metal_wire::v4::Options;
use std::net::SocketAddrV4;

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 11);
const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const URL: &str = "http://10.0.0.2:8880";

mod boot;

/// A machine, and how a packet of it arrives.
struct Lab {
    leases: Vec<Lease>,
    boot_file: Option<&'static str>,
    others: Vec<&'static str>,
    tftp: Option<Ipv4Addr>,
    arrival: Arrival<'static>,
}

impl Lab {
    fn new() -> Self {
        Self {
            leases: vec![lease(OURS, 24, Some([10, 0, 0, 1]))],
            boot_file: Some("shimx64.efi"),
            others: vec![],
            tftp: None,
            arrival: Arrival {
                server: SERVER,
                link: &[],
                is_unicast: false,
                port: SERVER_PORT,
                from: at([0; 4], 68),
            },
        }
    }

    fn decide(&self, packet: &Packet) -> Result<Box<Reply>, DropReason> {
        let has = |path: &str| self.others.contains(&path);
        let image = self.boot_file.map(|boot_file| Image { boot_file, has: &has });
        let (leases, tftp) = (&self.leases[..], self.tftp);
        let machine = Reserved { leases, hostname: "node-01", image, url: URL, tftp };
        decide(&machine, packet, self.arrival, Timestamp::UNIX_EPOCH)
    }

    fn answer(&self, packet: &Packet) -> Reply {
        *self.decide(packet).unwrap()
    }

    fn kind(&self, packet: &Packet) -> Result<MessageType, DropReason> {
        self.decide(packet).map(|reply| reply.kind)
    }
}

fn lease(ip: Ipv4Addr, prefix: u8, gateway: Option<[u8; 4]>) -> Lease {
    let dns = vec![[10, 0, 0, 3].into()];
    Lease { mac: MAC, ip, prefix, gateway: gateway.map(Into::into), dns }
}

fn at(address: [u8; 4], port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(address.into(), port)
}

fn packet(kind: MessageType, options: &[(u8, &[u8])]) -> Packet {
    let mut packet = Packet { xid: 7, ..Packet::default() };
    packet.chaddr[..6].copy_from_slice(&MAC.0);
    packet.options.set(code::MESSAGE_TYPE, [kind as u8]);
    for (code, value) in options {
        packet.options.set(*code, *value);
    }
    packet
}

fn numbers(options: &Options) -> Vec<u8> {
    let mut numbers: Vec<_> = options.iter().map(|(code, _)| code).collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_machine_is_offered_its_address_with_all_that_its_lease_says() {
    let reply = Lab::new().answer(&packet(MessageType::Discover, &[(61, &[0, 1, 2])]));
    assert_eq!((reply.kind, reply.packet.yiaddr, reply.from), (MessageType::Offer, OURS, SERVER));
    let options = &reply.packet.options;
    assert_eq!(numbers(options), [1, 3, 6, 12, 28, 51, 53, 54, 58, 59, 61]);
    let address = |code| options.address(code).map(|it| it.octets());
    assert_eq!(address(1), Some([255, 255, 255, 0]));
    assert_eq!((address(3), address(6)), (Some([10, 0, 0, 1]), Some([10, 0, 0, 3])));
    assert_eq!((address(54), options.get(12)), (Some(SERVER.octets()), Some(&b"node-01"[..])));
    let times = [51, 58, 59].map(|code| options.u32(code).unwrap());
    assert_eq!(times, [86_400, 43_200, 75_600]);
    assert_eq!(options.get(61), Some(&[0, 1, 2][..]));
    let ack = [(50, &OURS.octets()[..]), (54, &SERVER.octets()[..])];
    let ack = Lab::new().answer(&packet(MessageType::Request, &ack));
    assert_eq!((ack.kind, ack.packet.yiaddr), (MessageType::Ack, OURS));
}

#[test]
fn a_lease_without_gateway_and_dns_has_no_such_options() {
    let mut lab = Lab::new();
    lab.leases = vec![Lease { dns: vec![], ..lease(OURS, 24, None) }];
    let reply = lab.answer(&packet(MessageType::Discover, &[]));
    assert!(!numbers(&reply.packet.options).iter().any(|code| [3, 6].contains(code)));
}

#[test]
fn whoever_asks_for_another_address_is_refused_and_who_chose_another_server_is_left_alone() {
    let lab = Lab::new();
    let (theirs, other) = ([10, 0, 0, 99], [10, 0, 0, 77]);
    let ours = OURS.octets();
    let request = |options: &[(u8, &[u8])]| lab.kind(&packet(MessageType::Request, options));
    let silent = |silence| Err(DropReason::Packet(silence));
    assert_eq!(
        request(&[(50, &theirs), (54, &SERVER.octets())]),
        Ok(MessageType::Nak),
        "selecting"
    );
    assert_eq!(request(&[(50, &theirs)]), Ok(MessageType::Nak), "after a reboot");
    assert_eq!(request(&[(50, &ours)]), Ok(MessageType::Ack), "after a reboot");
    assert_eq!(request(&[(50, &ours), (54, &other)]), silent(V4DropReason::OtherServer));
    assert_eq!(request(&[(50, &theirs), (54, &other)]), silent(V4DropReason::OtherServer));
    assert_eq!(request(&[]), silent(V4DropReason::NoAddress));
    let renew = |ciaddr: [u8; 4]| {
        lab.kind(&Packet { ciaddr: ciaddr.into(), ..packet(MessageType::Request, &[]) })
    };
    assert_eq!(renew(ours), Ok(MessageType::Ack));
    assert_eq!(renew(theirs), Ok(MessageType::Nak));
    assert_eq!(renew([192, 168, 1, 1]), Ok(MessageType::Nak), "it was moved here");
}

#[test]
fn who_has_an_address_is_told_the_rest_and_what_is_given_back_stays_reserved() {
    let lab = Lab::new();
    let inform = Packet { ciaddr: OURS, ..packet(MessageType::Inform, &[]) };
    let reply = lab.answer(&inform);
    assert_eq!((reply.kind, reply.packet.yiaddr), (MessageType::Ack, Ipv4Addr::UNSPECIFIED));
    assert_eq!(reply.to, at(OURS.octets(), 68));
    assert!(!numbers(&reply.packet.options).iter().any(|code| [51, 58, 59].contains(code)));
    let decline = |ip: [u8; 4]| lab.kind(&packet(MessageType::Decline, &[(50, &ip)]));
    assert_eq!(decline(OURS.octets()), Err(DropReason::Declined));
    assert_eq!(decline([10, 0, 0, 99]), Err(NOT_THEIRS));
    let release = Packet { ciaddr: OURS, ..packet(MessageType::Release, &[]) };
    assert_eq!(lab.kind(&release), Err(NOT_THEIRS));
    assert_eq!(lab.kind(&packet(MessageType::Discover, &[])), Ok(MessageType::Offer));
}

#[test]
fn of_several_leases_that_of_the_link_or_of_the_relay_counts() {
    let mut lab = Lab::new();
    let there = Ipv4Addr::new(10, 9, 0, 11);
    lab.leases.push(lease(there, 16, Some([10, 9, 0, 1])));
    let discover = packet(MessageType::Discover, &[]);
    assert_eq!(lab.answer(&discover).packet.yiaddr, OURS);
    let relay = Packet { giaddr: [10, 9, 0, 1].into(), ..discover.clone() };
    let reply = lab.answer(&relay);
    assert_eq!((reply.packet.yiaddr, reply.to), (there, at([10, 9, 0, 1], 67)));
    assert_eq!(reply.packet.giaddr, relay.giaddr);
    lab.arrival.server = [172, 16, 0, 1].into();
    assert_eq!(lab.kind(&discover), Err(DropReason::Packet(V4DropReason::NoSubnet)));
    assert_eq!(lab.answer(&relay).packet.yiaddr, there, "the relay says where it is");
}

#[test]
fn what_a_relay_adds_comes_back_as_it_was() {
    let lab = Lab::new();
    let circuit = [1, 2, b'e', b'1'];
    let relayed = packet(MessageType::Discover, &[(82, &circuit)]);
    let relayed = Packet { giaddr: [10, 0, 0, 1].into(), ..relayed };
    let reply = lab.answer(&relayed);
    assert_eq!(reply.packet.options.get(82), Some(&circuit[..]));
    // A gateway without an address in the subnet, as for hosts with a subnet of their own.
    let mut alone = Lab::new();
    alone.leases = vec![lease(OURS, 32, Some([169, 254, 1, 1]))];
    let relayed = Packet { giaddr: [169, 254, 1, 1].into(), ..packet(MessageType::Discover, &[]) };
    assert_eq!(alone.answer(&relayed).packet.yiaddr, OURS);
}

#[test]
fn who_does_not_ask_for_broadcast_is_answered_alone() {
    let lab = Lab::new();
    let discover = packet(MessageType::Discover, &[]);
    assert_eq!(lab.answer(&discover).direct, Some(MAC));
    let broadcast = Packet { broadcast: true, ..discover };
    let reply = lab.answer(&broadcast);
    assert_eq!((reply.direct, reply.to), (None, at([255; 4], 68)));
}

#[test]
fn an_address_of_ours_is_on_the_link_of_a_lease_or_on_none() {
    let leases = [lease(OURS, 24, None)];
    assert!(is_on_link(&leases, SERVER));
    assert!(!is_on_link(&leases, [10, 0, 1, 2].into()));
}

#[test]
fn whatever_a_packet_says_nobody_gets_another_address_than_that_of_the_lease() {
    const KINDS: [MessageType; 5] = [
        MessageType::Discover,
        MessageType::Request,
        MessageType::Inform,
        MessageType::Decline,
        MessageType::Release,
    ];
    let (lab, mut dice, mut answered) = (Lab::new(), SeededRng(1), [0; 3]);
    for _ in 0..50_000 {
        let mut packet = packet(KINDS[dice.roll(KINDS.len())], &[]);
        (packet.ciaddr, packet.giaddr) = (any(&mut dice), any(&mut dice));
        for code in
            [50, 54, 60, 82, 93, 97].into_iter().filter(|_| dice.roll(3) == 0).collect::<Vec<u8>>()
        {
            let bytes: Vec<u8> = match code {
                50 | 54 => any(&mut dice).octets().to_vec(),
                _ => (0..dice.roll(18)).map(|_| dice.roll(20).to_le_bytes()[0]).collect(),
            };
            packet.options.set(code, bytes);
        }
        let Ok(reply) = lab.decide(&packet) else { continue };
        let given = reply.packet.yiaddr;
        let informs = MessageType::of(&packet) == Some(MessageType::Inform);
        let has_none = reply.kind == MessageType::Nak || informs;
        let expected = if has_none { Ipv4Addr::UNSPECIFIED } else { OURS };
        assert_eq!(given, expected, "{packet:?}");
        assert_eq!(reply.from, SERVER);
        answered[usize::from(given == OURS) + usize::from(reply.kind == MessageType::Offer)] += 1;
    }
    assert!(answered.iter().all(|count| *count > 100), "{answered:?}");
}

/// An address of those that matter here.
fn any(dice: &mut SeededRng) -> Ipv4Addr {
    let all =
        [[0; 4], OURS.octets(), SERVER.octets(), [10, 0, 0, 1], [10, 0, 0, 99], [192, 168, 1, 1]];
    all[dice.roll(all.len())].into()
}
