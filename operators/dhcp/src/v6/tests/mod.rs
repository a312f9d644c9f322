mod answers;
mod bmcs;
mod boot;
mod captures;
mod floods;
mod identity;
mod malformed;
mod relays;
mod simulation;
mod stateless;

use super::{ia::Ia, *};
use crate::{
    config::{self, v6::Config},
    lease::Leases,
};
use jiff::{SignedDuration, Timestamp};
use metal_api::MacAddr;
use metal_core::{boot::decision::Boot, macdb::MacDb};
use std::net::{Ipv6Addr, SocketAddrV6};

/// One subnet with three addresses, everything that a subnet can offer, and a boot file for each
/// kind of client; and one behind a relay.
const CONFIG: &str = "
dhcp6:
  interfaces: [eth1]
  subnets:
    - subnet: fd77::/64
      bmc: true
      ranges: ['fd77::100-fd77::102']
      dns: ['fd77::3', 'fd77::4']
      ntp: ['fd77::5']
      search: [oob.example.org]
      leaseTime: 1h
      reservations:
        - { mac: '02:00:00:00:00:99', ip: 'fd77::9' }
        - { mac: '02:00:00:00:00:98', ip: 'fd77::102' }
    - subnet: fd88::/64
      relays: ['fd99::7']
      ranges: ['fd88::10-fd88::20']
    - subnet: fdaa::/64
      mode: stateless
      bmc: true
      interface: eth1
      dns: ['fdaa::3']
  boot:
    uefi: tftp://[fd77::2]/snponly.efi
    arm64: tftp://[fd77::2]/snponly-arm64.efi
    http: http://[fd77::1]:8080/http-boot.efi
    httpArm64: http://[fd77::1]:8080/http-boot-arm64.efi
    ipxe: http://[fd77::1]:8082/ipxe/${uuid}
";

const SERVER: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1);
const SERVER_ID: &[u8] = &[0, 3, 0, 1, 2, 0, 0, 0, 1, 1];

/// A server and its leases.
struct Lab {
    config: config::Config,
    v6: Config,
    bmcs: MacDb,
    leases: Leases<Ipv6Addr>,
    now: Timestamp,
    addresses: Vec<Ipv6Addr>,
    interface: Option<&'static str>,
    boot: Boot,
}

impl Lab {
    fn new() -> Self {
        Self::with(CONFIG)
    }

    fn with(config: &str) -> Self {
        let config = config::Config::parse(config).unwrap();
        let v6 = config.dhcp6.clone().unwrap();
        let leases = leases(&v6);
        let bmcs = "macPrefixes: [{ macPrefix: 02bbcc, protocol: Redfish, port: 443, type: bmc }]";
        Self {
            config,
            v6,
            bmcs: MacDb::parse(bmcs).unwrap(),
            leases,
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            addresses: vec![SERVER],
            interface: None,
            boot: Boot::Default,
        }
    }

    fn decide(&self, packet: &Packet, from: Ipv6Addr) -> Decision {
        let Self { config, v6, bmcs, leases, boot, .. } = self;
        let server = Server { config, v6, id: SERVER_ID, bmcs, leases, boot };
        let from = SocketAddrV6::new(from, 5460, 0, 3);
        let arrival = Arrival { interface: self.interface, addresses: &self.addresses, from };
        decide(server, packet, arrival, self.now)
    }

    /// Decides, applies the changes, and returns the decision.
    fn send(&mut self, packet: &Packet, from: Ipv6Addr) -> Decision {
        let decision = self.decide(packet, from);
        decision.changes.iter().for_each(|lease| self.leases.apply(lease.clone()));
        decision.doubted.iter().for_each(|address| self.leases.doubt(*address, self.now));
        decision
    }

    /// The answer to a packet of a host that has one.
    fn answer(&mut self, packet: &Packet, host: u8) -> Reply {
        *self.send(packet, link_local(host)).answer.unwrap()
    }

    /// Sends SOLICIT and REQUEST.
    fn bind(&mut self, host: u8) -> Ipv6Addr {
        let advertise = self.answer(&solicit(host), host);
        assert_eq!(advertise.kind, MessageType::Advertise);
        let offered = address(&advertise).unwrap();
        let reply = self.answer(&request(host, offered), host);
        assert_eq!((reply.kind, address(&reply)), (MessageType::Reply, Some(offered)));
        offered
    }

    fn pass(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }
}

fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, last])
}

/// The link-local address that a host makes from its MAC address.
fn link_local(last: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0x00ff, 0xfe00, last.into())
}

/// A message of a host whose identifier is a DUID-UUID.
fn message(kind: MessageType, host: u8) -> Packet {
    let mut packet = Packet { kind: kind as u8, xid: [1, 2, host], ..Packet::default() };
    packet.options.push(code::CLIENT_ID, [&[0, 4][..], &[host; 16]].concat());
    packet
}

/// An identity association with at most one address.
fn ia(iaid: u8, address: Option<Ipv6Addr>) -> Vec<u8> {
    let mut value = vec![0, 0, 0, iaid, 0, 0, 0, 0, 0, 0, 0, 0];
    if let Some(address) = address {
        value.extend([0, 5, 0, 24]);
        value.extend(address.octets());
        value.extend([0; 8]);
    }
    value
}

fn solicit(host: u8) -> Packet {
    let mut packet = message(MessageType::Solicit, host);
    packet.options.push(code::IA_NA, ia(host, None));
    packet
}

/// A message to this server about an address.
fn to_server(kind: MessageType, host: u8, address: Ipv6Addr) -> Packet {
    let mut packet = to_any(kind, host, address);
    packet.options.push(code::SERVER_ID, SERVER_ID);
    packet
}

/// A message to any server about an address.
fn to_any(kind: MessageType, host: u8, address: Ipv6Addr) -> Packet {
    let mut packet = message(kind, host);
    packet.options.push(code::IA_NA, ia(host, Some(address)));
    packet
}

fn request(host: u8, address: Ipv6Addr) -> Packet {
    to_server(MessageType::Request, host, address)
}

/// The address in an answer that has a lifetime.
fn address(reply: &Reply) -> Option<Ipv6Addr> {
    let value = reply.packet.options.get(code::IA_NA)?;
    let ia = Ia::parse(value)?;
    let is_alive = value.get(36..40)? != [0; 4];
    ia.addresses.first().copied().filter(|_| is_alive)
}

/// The status of the identity association in an answer, and of the answer itself.
fn status(reply: &Reply) -> (Option<u16>, Option<u16>) {
    let number = |options: &Options| {
        options.get(code::STATUS).map(|value| u16::from_be_bytes([value[0], value[1]]))
    };
    let ia = reply.packet.options.get(code::IA_NA);
    let ia = ia.map(|value| Options::parse(&value[12..]).unwrap());
    (number(&reply.packet.options), ia.as_ref().and_then(number))
}

/// A packet forwarded by a relay.
fn relayed(packet: Packet, link: Ipv6Addr, peer: Ipv6Addr) -> Packet {
    let hops = u8::try_from(packet.relays.len()).unwrap();
    let relay = Relay { is_reply: false, hops, link, peer, options: Options::default() };
    let mut packet = packet;
    packet.relays.insert(0, relay);
    packet
}

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

const NO_ADDRS: u16 = 2;
const NO_BINDING: u16 = 3;
const NOT_ON_LINK: u16 = 4;
