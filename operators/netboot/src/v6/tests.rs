//! The loop on loopback. The tests act as relays, because these may be answered at any port (RFC
//! 8357).

use super::*;
use crate::recorder::Sightings;
use metal_api::MacAddr;
use metal_core::macdb::MacDb;
use metal_dhcp::{
    lease::{Lease, State},
    v6::{MessageType, Options, Relay, code},
};
use metal_runtime::{health::Readiness, metrics::Registry};
use metal_serve::{
    dhcp::{Metrics, Protocol},
    neighbor_limit::NeighborLimit,
};
use std::time::Duration;
use tokio::{net::UdpSocket, sync::watch, task::JoinHandle, time::timeout};
use tokio_util::sync::DropGuard;

const CONFIG: &str = "
dhcp6:
  listen: ['[::1]:0']
  duid: '000300010200000000ff'
  relays: ['::1']
  subnets:
    - subnet: fd77::/64
      ranges: ['fd77::100-fd77::1ff']
";
const SERVER_ID: &[u8] = &[0, 3, 0, 1, 2, 0, 0, 0, 0, 0xff];
const BMCS: &str = "macPrefixes: [{ macPrefix: 02bbcc, protocol: Redfish, port: 443, type: bmc }]";
const BMC: [u8; 6] = [2, 0xbb, 0xcc, 0, 0, 1];
const HOST: [u8; 6] = [2, 0, 0, 0, 0, 1];
const PATIENCE: Duration = Duration::from_mins(1);

/// A running server, and a relay in front of it.
struct Lab {
    sightings: Sightings,
    registry: Registry,
    server: SocketAddr,
    relay: UdpSocket,
    /// Also if the test fails, as the runtime waits for the server.
    shutdown: DropGuard,
    serving: JoinHandle<Result<(), Error>>,
}

impl Lab {
    async fn start(lease_file: Option<&Path>) -> Self {
        let (sightings, mut registry) = (Sightings::default(), Registry::of("netboot"));
        let metrics = Metrics::register(&mut registry, Protocol::DhcpV6);
        let lease_file = lease_file.map(Path::to_owned);
        let parts = ServerParts {
            lease_file,
            sightings: Some(sightings.clone()),
            ..parts(CONFIG, metrics)
        };
        let (shutdown, (opened, addresses)) = (CancellationToken::new(), oneshot::channel());
        let stop = shutdown.clone();
        let serving = tokio::task::spawn_blocking(move || serve(parts, opened, &stop));
        let shutdown = shutdown.drop_guard();
        let server = timeout(PATIENCE, addresses).await.unwrap().unwrap()[0];
        let relay = UdpSocket::bind("[::1]:0").await.unwrap();
        Self { sightings, registry, server, relay, shutdown, serving }
    }

    async fn ask(&self, packet: &Packet) -> Packet {
        self.relay.send_to(&packet.encode(), self.server).await.unwrap();
        let mut buffer = [0; 4096];
        let received = timeout(PATIENCE, self.relay.recv_from(&mut buffer));
        let (len, _) = received.await.expect("an answer").unwrap();
        Packet::parse(&buffer[..len]).unwrap()
    }

    /// Sends SOLICIT and REQUEST; returns the address as it is in the answer.
    async fn bind(&self, mac: [u8; 6]) -> Vec<u8> {
        let advertise = self.ask(&packet(MessageType::Solicit, mac, &[0; 12])).await;
        assert_eq!(advertise.kind(), Some(MessageType::Advertise));
        let ia = advertise.options.get(code::IA_NA).unwrap();
        let reply = self.ask(&packet(MessageType::Request, mac, ia)).await;
        assert_eq!(reply.kind(), Some(MessageType::Reply));
        address(&reply)
    }

    /// Sends SOLICIT, REQUEST and DECLINE.
    async fn decline(&self, mac: [u8; 6]) {
        let advertise = self.ask(&packet(MessageType::Solicit, mac, &[0; 12])).await;
        let ia = advertise.options.get(code::IA_NA).unwrap();
        let reply = self.ask(&packet(MessageType::Request, mac, ia)).await;
        let ia = reply.options.get(code::IA_NA).unwrap();
        self.ask(&packet(MessageType::Decline, mac, ia)).await;
    }

    async fn stop(self) {
        drop(self.shutdown);
        timeout(PATIENCE, self.serving).await.unwrap().unwrap().unwrap();
    }
}

fn parts(config: &str, metrics: Metrics) -> ServerParts {
    ServerParts {
        config: watch::Sender::new(Arc::new(Config::parse(config).unwrap())).subscribe(),
        bmcs: watch::Sender::new(Arc::new(MacDb::parse(BMCS).unwrap())).subscribe(),
        machines: None,
        neighbors: NeighborLimit::default(),
        lease_file: None,
        recorded: None,
        sightings: None,
        published: None,
        metrics,
        ready: Readiness::default().gate("dhcp6", "its sockets"),
    }
}

fn address(packet: &Packet) -> Vec<u8> {
    packet.options.get(code::IA_NA).unwrap()[16..32].to_vec()
}

fn packet(kind: MessageType, mac: [u8; 6], ia: &[u8]) -> Packet {
    let mut envelope = Options::default();
    envelope.push(code::RELAY_PORT, [0, 0]);
    envelope.push(code::LINK_LAYER, [&[0, 1][..], &mac].concat());
    let link = "fd77::ff".parse().unwrap();
    let relay = Relay { is_reply: false, hops: 0, link, peer: link, options: envelope };
    let mut packet = Packet { relays: vec![relay], kind: kind as u8, ..Packet::default() };
    packet.options.push(code::CLIENT_ID, [0, 2, 7]);
    packet.options.push(code::IA_NA, ia);
    if kind != MessageType::Solicit {
        packet.options.push(code::SERVER_ID, SERVER_ID);
    }
    packet
}

#[tokio::test]
async fn a_lease_outlives_the_process_in_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leases");
    let lab = Lab::start(Some(&path)).await;
    let first = lab.bind(HOST).await;
    lab.stop().await;
    let log = std::fs::read_to_string(folder.path().join("leases.v6")).unwrap();
    assert!(log.contains(" bound ") && log.contains("02:00:00:00:00:01"), "{log}");
    let lab = Lab::start(Some(&path)).await;
    // Another client does not get it, and the client itself gets it again.
    assert_ne!(lab.bind([2, 0, 0, 0, 0, 9]).await, first);
    assert_eq!(lab.bind(HOST).await, first);
    lab.stop().await;
}

#[tokio::test]
async fn a_bmc_is_told_once_it_has_its_address_and_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leases");
    let lab = Lab::start(Some(&path)).await;
    lab.bind(HOST).await;
    assert_eq!(lab.sightings.len(), 0);
    lab.bind(BMC).await;
    assert_eq!(lab.sightings.len(), 1);
    lab.stop().await;
    let lab = Lab::start(Some(&path)).await;
    assert_eq!(lab.sightings.len(), 1);
    lab.stop().await;
}

#[tokio::test]
async fn an_address_that_its_client_finds_in_use_is_counted_as_a_conflict() {
    let lab = Lab::start(None).await;
    lab.bind(HOST).await;
    let text = || lab.registry.text().unwrap();
    assert!(text().contains("\nnetboot_dhcp6_conflicts_total 0\n"), "{}", text());
    lab.decline(BMC).await;
    assert!(text().contains("\nnetboot_dhcp6_conflicts_total 1\n"), "{}", text());
    assert!(text().contains("\nnetboot_dhcp6_links_without_subnet 0\n"), "{}", text());
    lab.stop().await;
}

#[tokio::test]
async fn who_gets_no_address_because_none_is_left_is_counted_as_with_ipv4() {
    let config = CONFIG.replace("fd77::1ff", "fd77::100");
    let mut registry = Registry::of("netboot");
    let metrics = Metrics::register(&mut registry, Protocol::DhcpV6);
    let mut server = open(parts(&config, metrics)).unwrap();
    let (client, address) = (Client::Mac(MacAddr(HOST)), "fd77::100".parse().unwrap());
    let (state, until) = (State::Bound, Timestamp::MAX);
    let lease = Lease { address, client, state, until, binding: None };
    server.responder.common.lease_store.leases.apply(lease);
    let packet = packet(MessageType::Solicit, BMC, &[0; 12]);
    let from = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 547, 0, 0);
    let request = Request { link: 0, from, to: None, packet };
    let links = server.sockets.links();
    assert!(server.responder.decide(links, request, Timestamp::now()).is_some(), "it is told");
    let text = registry.text().unwrap();
    let counted = "\nnetboot_dhcp6_unanswered_total{reason=\"NoFreeAddress\"} 1\n";
    assert!(text.contains(counted), "{text}");
}

#[tokio::test]
async fn malformed_packets_do_not_stop_the_server() {
    let lab = Lab::start(None).await;
    for bytes in [&[][..], &[1], &[12; 40], &[255; 2000]] {
        lab.relay.send_to(bytes, lab.server).await.unwrap();
    }
    lab.bind(HOST).await;
    lab.stop().await;
}

#[tokio::test]
async fn who_has_a_reservation_is_better_known_in_a_flood_than_a_stranger() {
    let config =
        format!("{CONFIG}      reservations: [{{ mac: '02:00:00:00:00:01', ip: 'fd77::9' }}]\n");
    let server = open(parts(&config, Metrics::default())).unwrap();
    let from = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 547, 0, 0);
    let priority = |mac| {
        let packet = packet(MessageType::Solicit, mac, &[0; 12]);
        server.responder.source_of(&Request { link: 0, from, to: None, packet }).0
    };
    let (known, stranger) = (priority(HOST), priority([2, 0, 0, 0, 0, 9]));
    assert_eq!(known, Priority::Known);
    assert!(known > stranger, "{stranger:?}");
}
