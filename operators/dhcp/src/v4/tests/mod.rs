mod answers;
mod bmcs;
mod boot;
mod captures;
mod floods;
mod instances;
mod leases;
mod links;
mod malformed;
mod proxy;
mod requests;
mod simulation;
mod waiting;
mod wire;

use super::*;
use crate::{
    Client,
    config::Config,
    lease::{Lease, Leases, State},
};
use jiff::{SignedDuration, Timestamp};
use metal_api::MacAddr;
use metal_core::{boot::decision::Boot, macdb::MacDb};
use std::net::{Ipv4Addr, SocketAddrV4};

/// One subnet with three addresses, everything that a subnet can offer, and a boot file for each
/// kind of client.
const CONFIG: &str = "
interfaces: [eth1]
subnets:
  - subnet: 10.77.0.0/24
    bmc: true
    ranges: [10.77.0.100-10.77.0.102]
    router: 10.77.0.254
    dns: [10.77.0.3, 10.77.0.4]
    ntp: [10.77.0.5]
    domain: oob.example.org
    mtu: 1400
    leaseTime: 1h
    reservations:
      - { mac: '02:00:00:00:00:99', ip: 10.77.0.9, hostname: rack1-u1 }
      - { mac: '02:00:00:00:00:98', ip: 10.77.0.102 }
  - subnet: 10.88.0.0/24
    relays: [192.0.2.7]
    ranges: [10.88.0.10-10.88.0.20]
boot:
  nextServer: 10.77.0.2
  bios: undionly.kpxe
  uefi: snponly.efi
  arm64: snponly-arm64.efi
  http: http://10.77.0.2:8082/httpboot/uki.efi
  httpArm64: http://10.77.0.2:8082/httpboot/uki-arm64.efi
  ipxe: http://10.77.0.2:8082/ipxe/${uuid}
";

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// A server and its leases.
struct Lab {
    config: Config,
    bmcs: MacDb,
    leases: Leases,
    now: Timestamp,
    arrival: Arrival<'static>,
    boot: Boot,
}

impl Lab {
    fn new() -> Self {
        Self::with(CONFIG)
    }

    fn with(config: &str) -> Self {
        let config = Config::parse(config).unwrap();
        let leases = Leases::new(&config);
        let bmcs = "macPrefixes: [{ macPrefix: 02bbcc, protocol: Redfish, port: 443, type: bmc }]";
        Self {
            config,
            bmcs: MacDb::parse(bmcs).unwrap(),
            leases,
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            arrival: Arrival {
                server: SERVER,
                link: &[],
                is_unicast: false,
                port: SERVER_PORT,
                from: to([0; 4], 68),
            },
            boot: Boot::Default,
        }
    }

    /// A site whose configuration has no subnet of BMCs.
    fn without_bmcs() -> Self {
        Self::with(&CONFIG.replace("    bmc: true\n", ""))
    }

    fn decide(&self, packet: &Packet) -> Decision {
        let Self { config, bmcs, leases, boot, .. } = self;
        decide(Server { config, bmcs, leases, boot }, packet, self.arrival, self.now)
    }

    /// Decides, applies the changes, and returns the decision.
    fn send(&mut self, packet: &Packet) -> Decision {
        let decision = self.decide(packet);
        decision.changes.iter().for_each(|lease| self.leases.apply(lease.clone()));
        decision.doubted.iter().for_each(|address| self.leases.doubt(*address, self.now));
        decision
    }

    /// The answer to a packet that has one.
    fn answer(&mut self, packet: &Packet) -> Reply {
        *self.send(packet).answer.unwrap()
    }

    /// Sends DISCOVER and REQUEST.
    fn bind(&mut self, mac: u8) -> Ipv4Addr {
        let offer = self.answer(&discover(mac));
        assert_eq!(offer.kind, MessageType::Offer);
        let ack = self.answer(&select(mac, offer.packet.yiaddr));
        assert_eq!((ack.kind, ack.packet.yiaddr), (MessageType::Ack, offer.packet.yiaddr));
        offer.packet.yiaddr
    }

    fn pass(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }
}

fn mac(last: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, last])
}

fn packet(kind: MessageType, MacAddr(mac): MacAddr) -> Packet {
    let mut packet = Packet { xid: 7, ..Packet::default() };
    packet.chaddr[..6].copy_from_slice(&mac);
    packet.options.set(code::MESSAGE_TYPE, [kind as u8]);
    packet
}

fn discover(last: u8) -> Packet {
    packet(MessageType::Discover, mac(last))
}

/// A REQUEST in state SELECTING.
fn select(last: u8, address: Ipv4Addr) -> Packet {
    let mut packet = reboot(last, address);
    packet.options.set(code::SERVER_ID, SERVER.octets());
    packet
}

/// A REQUEST in state INIT-REBOOT.
fn reboot(last: u8, address: Ipv4Addr) -> Packet {
    let mut packet = packet(MessageType::Request, mac(last));
    packet.options.set(code::REQUESTED_ADDRESS, address.octets());
    packet
}

/// A REQUEST in state RENEWING or REBINDING.
fn renew(last: u8, address: Ipv4Addr) -> Packet {
    Packet { ciaddr: address, ..packet(MessageType::Request, mac(last)) }
}

fn release(last: u8, address: Ipv4Addr) -> Packet {
    let mut packet = Packet { ciaddr: address, ..packet(MessageType::Release, mac(last)) };
    packet.options.set(code::SERVER_ID, SERVER.octets());
    packet
}

fn decline(last: u8, address: Ipv4Addr) -> Packet {
    let mut packet = select(last, address);
    packet.options.set(code::MESSAGE_TYPE, [MessageType::Decline as u8]);
    packet
}

fn to(address: [u8; 4], port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(address.into(), port)
}
