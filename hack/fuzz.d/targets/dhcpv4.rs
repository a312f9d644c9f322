//! A DHCPv4 server that gets packet after packet: it neither panics nor remembers more than it has
//! addresses.
#![no_main]

use jiff::{SignedDuration, Timestamp};
use libfuzzer_sys::fuzz_target;
use metal_core::{boot::decision::Boot, macdb::MacDb};
use metal_dhcp::{
    config::Config,
    lease::Leases,
    v4::{Arrival, Packet, SERVER_PORT, Server, decide, identity},
};
use std::{net::Ipv4Addr, sync::LazyLock};

const CONFIG: &str = "
interfaces: [eth0]
subnets:
- subnet: 10.0.0.0/24
  ranges: [10.0.0.10-10.0.0.13]
  leaseTime: 2m
  reservations: [{ mac: '02:00:00:00:00:99', ip: 10.0.0.9, hostname: a }]
- subnet: 10.1.0.0/24
  relays: [10.9.9.9]
  ranges: [10.1.0.10-10.1.0.11]
boot: { nextServer: 10.0.0.1, bios: a.kpxe, uefi: b.efi, http: 'http://10.0.0.1/a', ipxe: 'http://10.0.0.1/b' }
";
const BMCS: &str = "macPrefixes: [{ macPrefix: 02bb, protocol: Redfish, port: 443, type: bmc }]";
/// Four addresses, one reserved, and two behind a relay.
const ADDRESSES: usize = 7;

static WORLD: LazyLock<(Config, MacDb)> =
    LazyLock::new(|| (Config::parse(CONFIG).unwrap(), MacDb::parse(BMCS).unwrap()));

fuzz_target!(|data: &[u8]| {
    let (config, bmcs) = &*WORLD;
    let mut leases = Leases::new(config);
    let mut now = Timestamp::from_second(1_800_000_000).unwrap();
    let boot = Boot::Default;
    for bytes in data.chunks(400) {
        now += SignedDuration::from_secs(bytes.len() as i64);
        let Ok(packet) = Packet::parse(bytes) else { continue };
        let encoded = packet.encode();
        assert_eq!(Packet::parse(&encoded).as_ref(), Ok(&packet), "what was read can be written");
        identity(&packet);
        let server = Server { config, bmcs, leases: &leases, boot: &boot };
        let arrival = Arrival {
            server: Ipv4Addr::new(10, 0, 0, 1),
            link: &[Ipv4Addr::new(10, 0, 0, 1)],
            is_unicast: false,
            port: SERVER_PORT,
            from: "0.0.0.0:68".parse().unwrap(),
        };
        let decision = decide(server, &packet, arrival, now);
        if let Ok(reply) = &decision.answer {
            assert!(Packet::parse(&reply.packet.encode()).is_ok(), "a client can read the answer");
        }
        for lease in decision.changes {
            leases.apply(lease);
        }
        let count = leases.count(now);
        assert!(count.bound + count.offered + count.declined <= ADDRESSES);
    }
});
