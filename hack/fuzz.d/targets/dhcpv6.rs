//! A DHCPv6 server that gets packet after packet, from clients and through relays: it neither
//! panics nor remembers more than it has addresses.
#![no_main]

use jiff::{SignedDuration, Timestamp};
use libfuzzer_sys::fuzz_target;
use metal_core::{boot::decision::Boot, macdb::MacDb};
use metal_dhcp::{
    config::Config,
    v6::{Arrival, CLIENT_PORT, Packet, Server, decide, identity, leases, mac},
};
use std::{
    net::{Ipv6Addr, SocketAddrV6},
    sync::LazyLock,
};

const CONFIG: &str = "
dhcp6:
  interfaces: [eth0]
  rapidCommit: true
  subnets:
  - subnet: fd00::/64
    ranges: ['fd00::10-fd00::13']
    leaseTime: 2m
    dns: ['fd00::3']
    ntp: ['fd00::3']
    search: [a.b]
    reservations: [{ mac: '02:00:00:00:00:99', ip: 'fd00::9' }]
  - subnet: fd01::/64
    relays: ['fd99::9']
    ranges: ['fd01::10-fd01::11']
  - subnet: fd02::/64
    mode: stateless
    relays: ['fd98::9']
  boot:
    uefi: tftp://[fd00::1]/a
    http: http://[fd00::1]/a
    ipxe: http://[fd00::1]/b
    parameters: [a]
";
const BMCS: &str = "macPrefixes: [{ macPrefix: 02bb, protocol: Redfish, port: 443, type: bmc }]";
/// Four addresses, one reserved, and two behind a relay.
const ADDRESSES: usize = 7;
const OWN: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
const DUID: &[u8] = &[0, 3, 0, 1, 2, 0, 0, 0, 0, 1];

static WORLD: LazyLock<(Config, MacDb)> =
    LazyLock::new(|| (Config::parse(CONFIG).unwrap(), MacDb::parse(BMCS).unwrap()));

fuzz_target!(|data: &[u8]| {
    let (config, bmcs) = &*WORLD;
    let v6 = config.dhcp6.as_ref().unwrap();
    let mut leases = leases(v6);
    let mut now = Timestamp::from_second(1_800_000_000).unwrap();
    let boot = Boot::Default;
    for bytes in data.chunks(400) {
        now += SignedDuration::from_secs(bytes.len() as i64);
        let Ok(packet) = Packet::parse(bytes) else { continue };
        assert_eq!(Packet::parse(&packet.encode()).as_ref(), Ok(&packet), "read and written");
        let host = packet.xid[0];
        let from = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0x00ff, 0xfe00, host.into());
        identity(&packet, from);
        mac(&packet, from);
        let server = Server { config, v6, id: DUID, bmcs, leases: &leases, boot: &boot };
        let from = SocketAddrV6::new(from, CLIENT_PORT, 0, 2);
        let arrival = Arrival { interface: Some("eth0"), addresses: &[OWN], from };
        let decision = decide(server, &packet, arrival, now);
        if let Ok(reply) = &decision.answer {
            assert!(Packet::parse(&reply.packet.encode()).is_ok(), "a client can read the answer");
        }
        for lease in decision.changes {
            leases.apply(lease);
        }
        let count = leases.count(now);
        assert!(count.bound + count.offered + count.declined <= ADDRESSES);
        assert!(leases.len() <= ADDRESSES, "nothing is remembered of who has no address");
    }
});
