//! The server on loopback. The tests are relays: those may be answered at any port (RFC 8357).

use super::*;
use crate::fixture::{OURS, cluster, has_image, machine, served, unlisted};
use metal_api::{
    MachineOperations, MachineOperationsStatus, MachineRedfish, MachineStatus, MachineSystemStatus,
};
use metal_dhcp::v4::{Options, Packet};
use metal_runtime::{health::Readiness, metrics::Registry, testing::Sent};
use metal_serve::dhcp::Protocol;
use std::time::Duration;
use tokio::{net::UdpSocket, time::timeout};

const PATIENCE: Duration = Duration::from_mins(1);

/// A server that is not running yet, and a relay in front of it.
struct Lab {
    server: Server<Dhcp>,
    registry: Registry,
    relay: UdpSocket,
}

impl Lab {
    async fn new(ctx: Arc<Context>) -> Self {
        Self::at(ctx, Ipv4Addr::LOCALHOST).await
    }

    async fn at(ctx: Arc<Context>, address: Ipv4Addr) -> Self {
        let mut registry = Registry::of("metalman");
        let parts = Parts {
            ctx,
            listen: Listen::Relays(SocketAddrV4::new(address, 0)),
            url: ServeUrl::new(None, address.into(), 8880),
            neighbors: NeighborLimit::default(),
            metrics: Metrics::register_answers(&mut registry, Protocol::DhcpV4),
            ready: Readiness::default().gate("dhcp", "its sockets"),
        };
        let relay = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        Self { server: open(parts).unwrap(), registry, relay }
    }

    /// Sends a packet, and lets the server handle it.
    async fn send(&mut self, packet: &Packet) {
        let port = self.server.sockets.addresses()[0].port();
        self.relay.send_to(&packet.encode(), (Ipv4Addr::LOCALHOST, port)).await.unwrap();
        timeout(PATIENCE, self.server.sockets.readable()).await.unwrap();
        assert!(self.server.turn());
    }

    async fn ask(&mut self, packet: &Packet) -> (MessageType, Packet) {
        self.send(packet).await;
        let mut buffer = [0; 4096];
        let received = timeout(PATIENCE, self.relay.recv_from(&mut buffer));
        let (len, _) = received.await.expect("an answer").unwrap();
        let answer = Packet::parse(&buffer[..len]).unwrap();
        (MessageType::of(&answer).unwrap(), answer)
    }

    /// Sends a packet that is not answered for this reason.
    async fn is_silent(&mut self, packet: &Packet, reason: &str) {
        self.send(packet).await;
        let text = self.registry.text().unwrap();
        let line = format!("metalman_dhcp_unanswered_total{{reason=\"{reason}\"}} 1\n");
        assert!(text.contains(&line), "{reason}: {text}");
    }
}

fn packet(kind: MessageType, last: u8) -> Packet {
    let mut options = Options::default();
    options.set(code::MESSAGE_TYPE, [kind as u8]);
    // Requests the answer at the source port.
    options.set(code::RELAY, [19, 0]);
    let mut packet = Packet { giaddr: Ipv4Addr::LOCALHOST, options, ..Packet::default() };
    packet.chaddr[..6].copy_from_slice(&[2, 0, 0, 0, 0, last]);
    packet
}

fn firmware(last: u8) -> Packet {
    let mut packet = packet(MessageType::Discover, last);
    packet.options.set(code::ARCHITECTURE, [0, 7]);
    packet
}

/// An agent that runs there asks like firmware, but for routes, and not for the class of its answer.
async fn agent_gets_its_address_alone(lab: &mut Lab) {
    let mut packet = packet(MessageType::Discover, 1);
    packet.options.set(code::ARCHITECTURE, [0, 16]);
    packet.options.set(code::PARAMETERS, [code::ROUTES, code::BOOT_FILE]);
    let (kind, offer) = lab.ask(&packet).await;
    assert_eq!((kind, offer.yiaddr), (MessageType::Offer, OURS));
    assert_eq!(offer.options.get(code::BOOT_FILE), None);
}

#[tokio::test]
async fn a_machine_gets_the_address_of_its_object_and_no_other() {
    let mut lab = Lab::new(cluster([machine("node-01", OURS, 1)]).await).await;
    let (kind, offer) = lab.ask(&packet(MessageType::Discover, 1)).await;
    assert_eq!((kind, offer.yiaddr), (MessageType::Offer, OURS));
    assert_eq!(offer.options.address(code::SERVER_ID), Some(Ipv4Addr::LOCALHOST));
    assert_eq!(offer.options.get(code::HOST_NAME), Some(&b"node-01"[..]));
    let mut request = packet(MessageType::Request, 1);
    for (address, expected) in
        [(OURS, MessageType::Ack), ([10, 77, 0, 12].into(), MessageType::Nak)]
    {
        request.options.set(code::REQUESTED_ADDRESS, address.octets());
        assert_eq!(lab.ask(&request).await.0, expected);
    }
}

#[tokio::test]
async fn unknown_and_ambiguous_machines_get_no_answer() {
    let twins = [machine("a", OURS, 1), machine("b", OURS, 2)];
    let mut lab = Lab::new(cluster(twins).await).await;
    lab.is_silent(&packet(MessageType::Discover, 9), "Unknown").await;
    lab.is_silent(&packet(MessageType::Discover, 2), "Ambiguous").await;
    lab.is_silent(&Packet { chaddr: [0; 16], ..packet(MessageType::Discover, 1) }, "Unidentified")
        .await;
}

#[tokio::test]
async fn nobody_is_answered_before_all_machines_are_known() {
    let mut lab = Lab::new(unlisted()).await;
    lab.is_silent(&packet(MessageType::Discover, 1), "NotListed").await;
}

#[tokio::test]
async fn firmware_waits_for_its_image_and_an_operating_system_does_not() {
    let mut lab = Lab::new(cluster([machine("node-01", OURS, 1)]).await).await;
    lab.is_silent(&firmware(1), "ImageMissing").await;
    assert_eq!(lab.ask(&packet(MessageType::Discover, 1)).await.1.yiaddr, OURS);
}

#[tokio::test]
async fn an_answer_names_the_address_that_was_asked_and_never_that_of_nobody() {
    let ctx = cluster([machine("node-01", OURS, 1)]).await;
    let mut lab = Lab::at(ctx, Ipv4Addr::UNSPECIFIED).await;
    let (_, offer) = lab.ask(&packet(MessageType::Discover, 1)).await;
    assert_eq!(offer.options.address(code::SERVER_ID), Some(Ipv4Addr::LOCALHOST));
}

#[tokio::test]
async fn a_machine_that_finds_its_address_in_use_is_a_conflict() {
    let mut lab = Lab::new(cluster([machine("node-01", OURS, 1)]).await).await;
    let mut decline = packet(MessageType::Decline, 1);
    decline.options.set(code::REQUESTED_ADDRESS, OURS.octets());
    lab.is_silent(&decline, "Declined").await;
    let text = lab.registry.text().unwrap();
    assert!(text.contains("\nmetalman_dhcp_conflicts_total 1\n"), "{text}");
}

#[test]
fn without_an_interface_only_relays_and_those_who_ask_us_alone_are_heard() {
    let relays = Listen::Relays("0.0.0.0:67".parse().unwrap());
    let interface = Listen::Interface { name: "eth1".to_owned(), port: 67 };
    let relayed = packet(MessageType::Discover, 1);
    let direct = Packet { giaddr: Ipv4Addr::UNSPECIFIED, ..relayed.clone() };
    let us = Some(Ipv4Addr::LOCALHOST);
    assert!(relays.hears(&relayed, us) && relays.hears(&direct, us));
    assert!(!relays.hears(&direct, None) && interface.hears(&direct, None));
}

#[tokio::test]
async fn firmware_is_told_the_boot_file_of_its_image_once_that_is_there() {
    let machine = machine("node-01", OURS, 1);
    let ctx = cluster([machine.clone()]).await;
    let files: [(&str, &[u8]); 2] = [
        ("disk/metadata.yaml", b"dhcpBootImageName: shimx64.efi\n"),
        ("disk/shimx64.efi", b"loader"),
    ];
    let _folder = has_image(&ctx, &machine, &files).await;
    let mut lab = Lab::new(ctx).await;
    let (kind, offer) = lab.ask(&firmware(1)).await;
    assert_eq!((kind, &offer.file[..]), (MessageType::Offer, &b"shimx64.efi"[..]));
    assert_eq!(offer.siaddr, Ipv4Addr::LOCALHOST);
}

/// A Machine without a BMC that is to be installed.
fn asked() -> Machine {
    let mut machine = machine("node-01", OURS, 1);
    machine.metadata.uid = Some("uid".to_owned());
    machine.spec.operations =
        Some(MachineOperations { repave_counter: Some(1), ..MachineOperations::default() });
    machine.status = Some(MachineStatus {
        operations: Some(MachineOperationsStatus::default()),
        ..MachineStatus::default()
    });
    machine
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_gets_nothing_to_be_installed_by_is_told_of() {
    let machine = asked();
    let files: [(&str, &[u8]); 2] = [
        ("disk/metadata.yaml", b"dhcpBootImageName: shimx64.efi\n"),
        ("disk/shimx64.efi", b"loader"),
    ];
    let (server, ctx) = served([machine.clone()]).await;
    let _folder = has_image(&ctx, &machine, &files).await;
    let mut lab = Lab::new(ctx).await;
    let mut bios = firmware(1);
    bios.options.set(code::ARCHITECTURE, [0, 0]);
    bios.options.set(code::VENDOR_CLASS, b"PXEClient:Arch:00000:UNDI:002001");
    let (kind, offer) = lab.ask(&bios).await;
    assert_eq!((kind, offer.options.get(code::BOOT_FILE)), (MessageType::Offer, None));
    let told = async {
        loop {
            if let Some(event) = server.sent().into_iter().find(Sent::is_event) {
                return event.body;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let told = timeout(PATIENCE, told).await.unwrap();
    assert_eq!(told["reason"].as_str(), Some("NoBootFile"));
    assert!(
        told["note"].as_str().unwrap().ends_with("for BIOS: set up the machine to boot by UEFI")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn firmware_that_may_be_to_install_is_answered_by_whoever_knows() {
    let machine = asked();
    let files: [(&str, &[u8]); 2] = [
        ("disk/metadata.yaml", b"dhcpBootImageName: shimx64.efi\n"),
        ("disk/shimx64.efi", b"loader"),
    ];
    let (server, ctx) = served([machine.clone()]).await;
    let _folder = has_image(&ctx, &machine, &files).await;
    let mut lab = Lab::new(ctx).await;
    assert_eq!(lab.ask(&firmware(1)).await.0, MessageType::Offer);
    let (silent, ctx) = served([machine.clone()]).await;
    let _folder = has_image(&ctx, &machine, &files).await;
    let mut lab = Lab::new(ctx).await;
    silent.fail(Some(axum::http::StatusCode::SERVICE_UNAVAILABLE));
    lab.is_silent(&firmware(1), "Behind").await;
    // An operating system keeps its address.
    assert_eq!(lab.ask(&packet(MessageType::Discover, 1)).await.1.yiaddr, OURS);
    agent_gets_its_address_alone(&mut lab).await;
    drop(server);
}

#[tokio::test]
async fn the_firmware_of_a_machine_that_is_also_a_server_gets_no_answer() {
    use kube::{core::DeserializeGuard, runtime::watcher::Event};
    use metal_api::{NetworkInterface, Server, ServerSpec, ServerStatus};
    let ctx = cluster([machine("node-01", OURS, 1)]).await;
    let mac_address = "02:00:00:00:00:01".to_owned();
    let network_interfaces = vec![NetworkInterface { mac_address, ..NetworkInterface::default() }];
    let mut server = Server::new("compute-1", ServerSpec::default());
    server.status = Some(ServerStatus { network_interfaces, ..ServerStatus::default() });
    let event = Ok(Event::Apply(DeserializeGuard(Ok(server))));
    ctx.view.servers.follow(futures::stream::iter([event])).await.unwrap_err();
    let mut lab = Lab::new(ctx).await;
    lab.is_silent(&firmware(1), "Ambiguous").await;
    assert_eq!(lab.ask(&packet(MessageType::Discover, 1)).await.1.yiaddr, OURS);
    agent_gets_its_address_alone(&mut lab).await;
}

#[test]
fn what_a_packet_tells_of_a_machine_counts_only_from_the_link_of_the_machine() {
    let us = Some(Ipv4Addr::LOCALHOST);
    let relay = SocketAddrV4::new([10, 77, 0, 1].into(), 67);
    let relayed = Packet { giaddr: *relay.ip(), ..packet(MessageType::Discover, 1) };
    assert!(comes_from_its_link(&relayed, relay, us));
    assert!(!comes_from_its_link(&relayed, SocketAddrV4::new([10, 78, 0, 9].into(), 67), us));
    let direct = Packet { giaddr: Ipv4Addr::UNSPECIFIED, ..relayed };
    assert!(comes_from_its_link(&direct, SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68), None));
    assert!(!comes_from_its_link(&direct, relay, us), "whoever reaches us may send it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_bmc_the_uuid_that_firmware_tells_is_recorded_whosever_it_is() {
    const UUID: [u8; 16] =
        [0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 1, 2, 3, 4, 5, 6];
    const TOLD: &str = "33221100-5544-7766-8899-010203040506";
    const ANOTHER: &str = "4c4c4544-0042-3510-8057-b4c04f4e3232";
    let of = |name: &str, address, last| {
        let mut machine = machine(name, address, last);
        machine.metadata.uid = Some(name.to_owned());
        machine
    };
    let mut told = firmware(1);
    told.options.set(code::MACHINE_ID, [&[0][..], &UUID].concat());
    let recorded = |server: &metal_runtime::testing::ApiServer| {
        let machine = server.object::<Machine>(None, "node-01").unwrap();
        machine.status.and_then(|status| status.system_uuid)
    };
    let (server, ctx) = served([of("node-01", OURS, 1)]).await;
    let mut lab = Lab::new(ctx).await;
    // From elsewhere than the relay, anybody may tell it.
    let mut forged = Packet { giaddr: [10, 77, 0, 1].into(), ..told.clone() };
    forged.options.set(code::MACHINE_ID, [&[0][..], &[7; 16]].concat());
    lab.send(&forged).await;
    lab.send(&told).await;
    let is_recorded = async |server: &metal_runtime::testing::ApiServer| {
        let wait = async {
            while recorded(server).as_deref() != Some(TOLD) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, wait).await.unwrap();
        assert_eq!(server.written().len(), 1);
    };
    is_recorded(&server).await;
    let with = |mut machine: Machine, uuid: &str| {
        machine.status.get_or_insert_default().system_uuid = Some(uuid.to_owned());
        machine
    };
    // The boards of two machines without a BMC were swapped: neither is refused, whose image alone
    // is missing here, and the record follows.
    let (one, mut other) =
        (with(of("node-01", OURS, 1), ANOTHER), of("node-02", [10, 77, 0, 12].into(), 2));
    let (server, ctx) = served([one.clone(), with(other.clone(), TOLD)]).await;
    let mut lab = Lab::new(ctx).await;
    lab.is_silent(&told, "ImageMissing").await;
    is_recorded(&server).await;
    // What a BMC says to be another's gets no answer; the record follows all the same.
    let redfish = MachineRedfish { url: "https://192.0.2.9".to_owned(), ..Default::default() };
    let system = Some(MachineSystemStatus {
        url: redfish.url.clone(),
        device_id: None,
        uuid: TOLD.to_owned(),
    });
    other.spec.pxe.as_mut().unwrap().redfish = Some(redfish);
    other.status.get_or_insert_default().redfish.get_or_insert_default().system = system;
    let (server, ctx) = served([one, other]).await;
    let mut lab = Lab::new(ctx).await;
    lab.is_silent(&told, "Ambiguous").await;
    is_recorded(&server).await;
    let mut agent = told;
    agent.options.set(code::ARCHITECTURE, [0, 16]);
    agent.options.set(code::PARAMETERS, [code::ROUTES, code::BOOT_FILE]);
    assert_eq!(lab.ask(&agent).await.1.yiaddr, OURS);
}
