//! The loop on loopback. The tests act as relays, because these may be answered at any port (RFC
//! 8357).

use super::*;
use crate::{
    lease_file::LeaseFile,
    machines::tests::with_an_idle_machine,
    recorder::Sightings,
    shared_leases::{Role, SharedLeases},
};
use metal_api::MacAddr;
use metal_core::macdb::MacDb;
use metal_dhcp::{
    config::Config,
    lease::{Lease, State},
    v4::{MessageType, Options, Packet, code},
};
use metal_runtime::{health::Readiness, report::Chain};
use metal_serve::{dhcp::Metrics, neighbor_limit::NeighborLimit};
use std::{net::SocketAddrV4, path::Path, sync::Arc, time::Duration};
use tokio::{net::UdpSocket, sync::watch, task::JoinHandle, time::timeout};
use tokio_util::sync::DropGuard;

pub(crate) const CONFIG: &str = "
listen: ['127.0.0.1:0']
conflictProbe: false
subnets:
  - subnet: 10.77.0.0/24
    relays: [127.0.0.1]
    ranges: [10.77.0.100-10.77.0.199]
";
const BMCS: &str = "macPrefixes: [{ macPrefix: 02bbcc, protocol: Redfish, port: 443, type: bmc }]";
pub(crate) const BMC: MacAddr = MacAddr([2, 0xbb, 0xcc, 0, 0, 1]);
pub(super) const HOST: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const PATIENCE: Duration = Duration::from_mins(1);

/// A running server, and a relay in front of it.
struct Lab {
    config: watch::Sender<Arc<Config>>,
    sightings: Sightings,
    server: SocketAddr,
    relay: UdpSocket,
    /// Also if the test fails, as the runtime waits for the server.
    shutdown: DropGuard,
    serving: JoinHandle<Result<(), Error>>,
}

impl Lab {
    async fn start(lease_file: Option<&Path>) -> Self {
        let config = watch::Sender::new(Arc::new(Config::parse(CONFIG).unwrap()));
        let sightings = Sightings::default();
        let parts = parts(&config, &sightings, lease_file);
        let (shutdown, (opened, addresses)) = (CancellationToken::new(), oneshot::channel());
        let stop = shutdown.clone();
        let serving = tokio::task::spawn_blocking(move || serve(parts, opened, &stop));
        let shutdown = shutdown.drop_guard();
        let server = timeout(PATIENCE, addresses).await.unwrap().unwrap()[0];
        let relay = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        Self { config, sightings, server, relay, shutdown, serving }
    }

    async fn send(&self, packet: &Packet) {
        self.relay.send_to(&packet.encode(), self.server).await.unwrap();
    }

    async fn receive(&self) -> Packet {
        let mut buffer = [0; 4096];
        let received = timeout(PATIENCE, self.relay.recv_from(&mut buffer));
        let (len, _) = received.await.expect("an answer").unwrap();
        Packet::parse(&buffer[..len]).unwrap()
    }

    async fn ask(&self, packet: &Packet) -> (Option<MessageType>, Ipv4Addr) {
        self.send(packet).await;
        let answer = self.receive().await;
        (MessageType::of(&answer), answer.yiaddr)
    }

    /// Sends DISCOVER and REQUEST.
    async fn bind(&self, mac: MacAddr) -> Ipv4Addr {
        let (kind, offered) = self.ask(&packet(MessageType::Discover, mac)).await;
        assert_eq!(kind, Some(MessageType::Offer));
        let ack = self.ask(&request(mac, offered)).await;
        assert_eq!(ack, (Some(MessageType::Ack), offered));
        offered
    }

    async fn stop(self) {
        drop(self.shutdown);
        timeout(PATIENCE, self.serving).await.unwrap().unwrap().unwrap();
    }
}

pub(crate) fn parts(
    config: &watch::Sender<Arc<Config>>,
    sightings: &Sightings,
    lease_file: Option<&Path>,
) -> ServerParts {
    ServerParts {
        config: config.subscribe(),
        bmcs: watch::Sender::new(Arc::new(MacDb::parse(BMCS).unwrap())).subscribe(),
        machines: None,
        neighbors: NeighborLimit::default(),
        lease_file: lease_file.map(Path::to_owned),
        recorded: None,
        sightings: Some(sightings.clone()),
        published: None,
        metrics: Metrics::default(),
        ready: Readiness::default().gate("dhcp", "its sockets"),
    }
}

pub(super) fn packet(kind: MessageType, MacAddr(mac): MacAddr) -> Packet {
    let mut options = Options::default();
    options.set(code::MESSAGE_TYPE, [kind as u8]);
    // Requests the answer at the source port.
    options.set(code::RELAY, [19, 0]);
    let mut packet = Packet { giaddr: Ipv4Addr::LOCALHOST, options, ..Packet::default() };
    packet.chaddr[..6].copy_from_slice(&mac);
    packet
}

/// A REQUEST in state INIT-REBOOT or SELECTING.
fn request(mac: MacAddr, address: Ipv4Addr) -> Packet {
    let mut packet = packet(MessageType::Request, mac);
    packet.options.set(code::REQUESTED_ADDRESS, address.octets());
    packet
}

/// The lease of an address that has been offered.
pub(crate) fn offer(mac: MacAddr, address: Ipv4Addr) -> Lease {
    let client = Client::Mac(mac);
    let (state, until) = (State::Offered, Timestamp::MAX);
    Lease { address, client, state, until, binding: None }
}

#[tokio::test]
async fn leases_survive_a_restart_and_bmcs_are_told_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leases");
    let lab = Lab::start(Some(&path)).await;
    let host = lab.bind(HOST).await;
    let bmc = lab.bind(BMC).await;
    assert_eq!(lab.sightings.len(), 1, "only the BMC is told");
    lab.stop().await;

    let lab = Lab::start(Some(&path)).await;
    assert_eq!(lab.sightings.len(), 1);
    assert_eq!(lab.ask(&request(HOST, host)).await, (Some(MessageType::Ack), host));
    let other = request(HOST, bmc);
    assert_eq!(lab.ask(&other).await.0, Some(MessageType::Nak), "it is known to be the BMC's");
    lab.stop().await;
}

#[tokio::test]
async fn malformed_packets_do_not_stop_the_server() {
    let lab = Lab::start(None).await;
    let whole = packet(MessageType::Discover, HOST).encode();
    for end in [0, 1, 100, 239, 241] {
        lab.relay.send_to(&whole[..end], lab.server).await.unwrap();
    }
    lab.relay.send_to(&[0xff; 9000], lab.server).await.unwrap();
    lab.bind(HOST).await;
    lab.stop().await;
}

#[tokio::test]
async fn a_changed_configuration_is_taken_over_without_losing_a_lease() {
    let lab = Lab::start(None).await;
    let address = lab.bind(HOST).await;
    // Another range, and a lease time that shows that the change is in effect.
    let changed = format!("{CONFIG}    leaseTime: 2h\n    router: 10.77.0.1\n");
    lab.config.send_replace(Arc::new(Config::parse(&changed).unwrap()));
    let lasts_longer = async {
        loop {
            lab.send(&request(HOST, address)).await;
            let answer = lab.receive().await;
            assert_eq!(
                (MessageType::of(&answer), answer.yiaddr),
                (Some(MessageType::Ack), address)
            );
            if answer.options.u32(code::LEASE_TIME) == Some(7200) {
                break;
            }
        }
    };
    timeout(PATIENCE, lasts_longer).await.unwrap();
    lab.stop().await;
}

#[tokio::test]
async fn a_configuration_that_cannot_be_served_is_not_taken_over() {
    let config = watch::Sender::new(Arc::new(Config::parse(CONFIG).unwrap()));
    let mut server = open(parts(&config, &Sightings::default(), None)).unwrap();
    let target = server.sockets.links()[0].bind_target.clone();
    let unreachable = CONFIG.replace("127.0.0.1:0", "192.0.2.1:0");
    config.send_replace(Arc::new(Config::parse(&unreachable).unwrap()));
    server.maintain().await;
    assert_eq!(*server.responder.common.config, Config::parse(CONFIG).unwrap());
    assert_eq!(
        (server.sockets.links().len(), &server.sockets.links()[0].bind_target),
        (1, &target)
    );

    let moved = CONFIG.replace("127.0.0.1:0", "127.0.0.2:0");
    config.send_replace(Arc::new(Config::parse(&moved).unwrap()));
    server.maintain().await;
    assert_eq!(server.sockets.links().len(), 1);
    assert_ne!(server.sockets.links()[0].bind_target, target);
}

#[tokio::test]
async fn a_configuration_that_cannot_be_served_is_taken_over_once_it_can() {
    let config = watch::Sender::new(Arc::new(Config::parse(CONFIG).unwrap()));
    let mut server = open(parts(&config, &Sightings::default(), None)).unwrap();
    // 127.64.0.0/10 has an address for each process, and the kernel gives nobody this port.
    let own = Ipv4Addr::from_bits(0x7f40_0000 | (std::process::id() & 0x003f_ffff));
    let address = SocketAddr::from((own, 6767));
    let other = std::net::UdpSocket::bind(address).unwrap();
    let wanted = CONFIG.replace("127.0.0.1:0", &address.to_string());
    config.send_replace(Arc::new(Config::parse(&wanted).unwrap()));
    server.maintain().await;
    assert_ne!(server.sockets.addresses(), [address], "another process has it");
    drop(other);
    for _ in 0..60 {
        server.maintain().await;
    }
    assert_eq!(server.sockets.addresses(), [address]);
    assert_eq!(*server.responder.common.config, Config::parse(&wanted).unwrap());
}

#[tokio::test]
async fn who_becomes_known_as_a_bmc_later_is_told_then() {
    let config = watch::Sender::new(Arc::new(Config::parse(CONFIG).unwrap()));
    let database = watch::Sender::new(Arc::new(MacDb::default()));
    let sightings = Sightings::default();
    let parts = ServerParts { bmcs: database.subscribe(), ..parts(&config, &sightings, None) };
    let mut server = open(parts).unwrap();
    let relay = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = server.sockets.addresses()[0];
    server.responder.common.lease_store.leases.apply(offer(BMC, [10, 77, 0, 100].into()));
    relay.send_to(&request(BMC, [10, 77, 0, 100].into()).encode(), address).await.unwrap();
    timeout(PATIENCE, server.sockets.readable()).await.unwrap();
    assert!(server.turn());
    assert_eq!(sightings.len(), 0);

    database.send_replace(Arc::new(MacDb::parse(BMCS).unwrap()));
    server.maintain().await;
    assert_eq!(sightings.len(), 1);
}

#[tokio::test]
async fn without_a_place_on_the_disk_nobody_is_told_that_it_has_a_lease() {
    let folder = tempfile::tempdir().unwrap();
    let config = watch::Sender::new(Arc::new(Config::parse(CONFIG).unwrap()));
    let (sightings, path) = (Sightings::default(), folder.path().join("leases"));
    let mut server = open(parts(&config, &sightings, Some(&path))).unwrap();
    server.responder.common.lease_store.fail_writes();
    let relay = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = server.sockets.addresses()[0];
    server.responder.common.lease_store.leases.apply(offer(BMC, [10, 77, 0, 100].into()));
    // An offer promises nothing, and is sent; the answer to the request is not.
    for packet in [request(BMC, [10, 77, 0, 100].into()), packet(MessageType::Discover, HOST)] {
        relay.send_to(&packet.encode(), address).await.unwrap();
        timeout(PATIENCE, server.sockets.readable()).await.unwrap();
        assert!(server.turn());
    }
    let mut buffer = [0; 4096];
    let (len, _) = timeout(PATIENCE, relay.recv_from(&mut buffer)).await.unwrap().unwrap();
    let answer = Packet::parse(&buffer[..len]).unwrap();
    assert_eq!(MessageType::of(&answer), Some(MessageType::Offer));
    assert_eq!(sightings.len(), 0);
}

#[tokio::test]
async fn who_waits_answers_nobody_and_who_takes_over_knows_the_leases_of_the_other_one() {
    let section = "instances: { mode: standby, part: 2 }";
    let config = Arc::new(Config::parse(&format!("{section}{CONFIG}")).unwrap());
    let published = SharedLeases::new(config.instances);
    let config = watch::Sender::new(config);
    let parts = parts(&config, &Sightings::default(), None);
    let mut server = open(ServerParts { published: Some(published.clone()), ..parts }).unwrap();
    let relay = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = server.sockets.addresses()[0];
    relay.send_to(&packet(MessageType::Discover, HOST).encode(), address).await.unwrap();
    timeout(PATIENCE, server.sockets.readable()).await.unwrap();
    assert!(!server.turn(), "it is not for us");

    // From the other instance's half.
    let theirs = Ipv4Addr::new(10, 77, 0, 100);
    let bound = Lease { state: State::Bound, ..offer(HOST, theirs) };
    published.hear(bound.at(theirs.into()));
    published.stand(Role::Leads);
    relay.send_to(&request(HOST, theirs).encode(), address).await.unwrap();
    timeout(PATIENCE, server.sockets.readable()).await.unwrap();
    assert!(server.turn());
    let mut buffer = [0; 4096];
    let (len, _) = timeout(PATIENCE, relay.recv_from(&mut buffer)).await.unwrap().unwrap();
    let answer = Packet::parse(&buffer[..len]).unwrap();
    assert_eq!((MessageType::of(&answer), answer.yiaddr), (Some(MessageType::Ack), theirs));
    let renewed = published.lease(theirs.into()).unwrap();
    assert!(renewed.until < Timestamp::MAX, "it is noted for its object");
}

#[tokio::test]
async fn what_keeps_a_server_from_starting_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leases");
    let (_held, _) = LeaseFile::open::<Ipv4Addr>(&path).unwrap();
    let config = watch::Sender::new(Arc::new(Config::parse(CONFIG).unwrap()));
    let parts = parts(&config, &Sightings::default(), Some(&path));
    let error = open(parts).unwrap_err();
    let text = Chain(&error).to_string();
    assert!(text.contains("could not store leases: --lease-file"), "{text}");
}

#[tokio::test]
async fn who_got_an_address_is_known_to_those_who_serve_files_to_it() {
    let (machines, idle) = with_an_idle_machine().await;
    let machines = Arc::new(machines);
    let config = watch::Sender::new(Arc::new(Config::parse(CONFIG).unwrap()));
    let parts = parts(&config, &Sightings::default(), None);
    let mut server = open(ServerParts { machines: Some(machines.clone()), ..parts }).unwrap();
    let relay = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = server.sockets.addresses()[0];
    let mut lease = Ipv4Addr::UNSPECIFIED;
    // First the firmware, then its operating system.
    for boots in [true, false] {
        for kind in [MessageType::Discover, MessageType::Request] {
            let mut packet = packet(kind, HOST);
            if kind == MessageType::Request {
                packet.options.set(code::REQUESTED_ADDRESS, lease.octets());
            }
            if boots {
                packet.options.set(code::ARCHITECTURE, [0, 0]);
                let uuid = idle.uuid.unwrap().to_smbios();
                packet.options.set(code::MACHINE_ID, [&[0], &uuid[..]].concat());
            }
            relay.send_to(&packet.encode(), address).await.unwrap();
            timeout(PATIENCE, server.sockets.readable()).await.unwrap();
            assert!(server.turn());
            let mut buffer = [0; 4096];
            let (len, _) = timeout(PATIENCE, relay.recv_from(&mut buffer)).await.unwrap().unwrap();
            lease = Packet::parse(&buffer[..len]).unwrap().yiaddr;
        }
        let boot = machines.boot_at(lease);
        assert_eq!(matches!(boot, Boot::Nothing(_)), boots, "{boot:?}");
    }
}

#[tokio::test]
async fn who_informs_says_which_machine_has_the_address_that_it_sends_from_and_no_other() {
    let (machines, idle) = with_an_idle_machine().await;
    let machines = Arc::new(machines);
    let config = watch::Sender::new(Arc::new(Config::parse(CONFIG).unwrap()));
    let parts = parts(&config, &Sightings::default(), None);
    let mut server = open(ServerParts { machines: Some(machines.clone()), ..parts }).unwrap();
    let (address, to) = (Ipv4Addr::new(10, 77, 0, 150), Some(Ipv4Addr::LOCALHOST));
    let mut inform = Packet { ciaddr: address, ..packet(MessageType::Inform, HOST) };
    inform.options.set(code::ARCHITECTURE, [0, 0]);
    let uuid = idle.uuid.unwrap().to_smbios();
    inform.options.set(code::MACHINE_ID, [&[0], &uuid[..]].concat());
    for (from, is_heard) in [(Ipv4Addr::LOCALHOST, false), (address, true)] {
        let from = SocketAddrV4::new(from, 68);
        let request = Request { link: 0, from, to, packet: inform.clone() };
        let links = server.sockets.links();
        assert!(server.responder.decide(links, request, Timestamp::now()).is_some());
        let boot = machines.boot_at(address);
        assert_eq!(matches!(boot, Boot::Nothing(_)), is_heard, "{boot:?}");
    }
}

#[tokio::test]
async fn a_client_with_an_offer_is_better_known_than_one_without() {
    let config = watch::Sender::new(Arc::new(Config::parse(CONFIG).unwrap()));
    let mut server = open(parts(&config, &Sightings::default(), None)).unwrap();
    server.responder.common.lease_store.record(offer(HOST, [10, 77, 0, 100].into()));
    let from = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 67);
    let source = |packet| server.responder.source_of(&Request { link: 0, from, to: None, packet });
    let (known, client) = source(request(HOST, [10, 77, 0, 100].into()));
    let (unknown, _) = source(packet(MessageType::Discover, BMC));
    assert!(known > unknown, "{known:?} {unknown:?}");
    assert_eq!(client, Some(Client::Mac(HOST)));
}
