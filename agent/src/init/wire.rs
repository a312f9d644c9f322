//! Links for tests, in a network namespace of their own: at the near end is what is tested, and at the far
//! end a DHCP server that says what the test says.

use super::link::Link;
use metal_wire::v4::{BOOT_REPLY, MessageType, Packet, code, frame};
use nix::{
    ifaddrs::getifaddrs,
    sys::socket::{LinkAddr, bind},
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    any::type_name,
    env,
    net::{Ipv4Addr, SocketAddrV4},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net,
    },
    process::Command,
    time::Duration,
};
use tokio::{
    net::UnixDatagram,
    runtime::Builder,
    time::{sleep, timeout},
};

/// Longer than anything takes here.
const LIMIT: Duration = Duration::from_mins(1);
/// The address of the server. Nothing has it, so that the kernel takes its packets.
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 250);
/// Set in the namespace.
const INSIDE: &str = "METALPROBE_TEST_INSIDE";
const ETHERTYPE_IPV4: [u8; 2] = [8, 0];

/// Runs a test in a namespace with nothing but loopback. Only a process with one thread can enter a user
/// namespace, so the test binary runs itself again, for this test.
pub(super) fn alone<T: AsyncFnOnce()>(test: T) {
    if env::var_os(INSIDE).is_some() {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let done = runtime.block_on(async { timeout(LIMIT, test()).await });
        done.expect("the test takes too long");
        return;
    }
    let script = r#"command -v ip >/dev/null || { echo "no ip here; run: hack/prepare unit" && exit 1; }
        for kind in all default; do
            echo 0 >/proc/sys/net/ipv4/conf/$kind/rp_filter
            echo 0 >/proc/sys/net/ipv6/conf/$kind/accept_dad
        done
        ip link set lo up && exec "$0" --exact "$1" --nocapture"#;
    let name = type_name::<T>();
    let name = name.split_once("::{{closure}}").map_or(name, |(path, _)| path);
    let (_, name) = name.split_once("::").unwrap();
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--net", "sh", "-c", script]);
    command.arg(env::current_exe().unwrap()).arg(name).env(INSIDE, "1");
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && printed.contains("1 passed"), "{name}: {printed}{said}");
}

/// Runs `ip`; returns what it prints.
pub(super) fn ip(words: &str) -> String {
    let output = Command::new("ip").args(words.split(' ')).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {words}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// A link.
pub(super) struct Wire {
    /// The near end.
    pub(super) link: Link,
    /// The name of the far end.
    pub(super) far: String,
    far_mac: [u8; 6],
    socket: UnixDatagram,
}

/// A packet of a client, and the address that it came from.
pub(super) struct ReceivedPacket {
    pub(super) from: Ipv4Addr,
    pub(super) kind: MessageType,
    pub(super) packet: Packet,
}

impl Wire {
    /// Makes a link with this name.
    pub(super) fn new(name: &str) -> Self {
        let far = format!("far-{name}");
        ip(&format!("link add {name} type veth peer name {far}"));
        ip(&format!("link set {far} up"));
        ip(&format!("link set {name} up"));
        let (near, there) = (address(name), address(&far));
        let mac = near.addr().unwrap();
        let index = u32::try_from(near.ifindex()).unwrap();
        let (kind, every) = (Type::RAW.nonblocking().cloexec(), Protocol::from(0x300));
        let socket = Socket::new(Domain::PACKET, kind, Some(every)).unwrap();
        bind(socket.as_raw_fd(), &there).unwrap();
        let socket =
            UnixDatagram::from_std(net::UnixDatagram::from(OwnedFd::from(socket))).unwrap();
        let link = Link { name: name.to_owned(), index, mac };
        Self { link, far, far_mac: there.addr().unwrap(), socket }
    }

    /// Lets the kernel know the hardware address of the server, which answers no ARP requests.
    pub(super) fn announce_server(&self) {
        let mac = self.far_mac.map(|octet| format!("{octet:02x}")).join(":");
        ip(&format!("neigh replace {SERVER} lladdr {mac} dev {} nud permanent", self.link.name));
    }

    /// The next packet of a client.
    pub(super) async fn hear(&self) -> ReceivedPacket {
        let mut buffer = [0; 2048];
        loop {
            let length = self.socket.recv(&mut buffer).await.unwrap();
            if let Some(heard) = heard(&buffer[..length]) {
                return heard;
            }
        }
    }

    /// The next packet of a client that has this address, after those that it has repeated to get it.
    pub(super) async fn hear_from(&self, ip: Ipv4Addr) -> ReceivedPacket {
        loop {
            let heard = self.hear().await;
            if heard.from == ip {
                return heard;
            }
        }
    }

    /// Answers it; `ip` is the address that the client gets.
    pub(super) async fn answer(
        &self,
        heard: &ReceivedPacket,
        kind: MessageType,
        ip: Ipv4Addr,
        options: &[(u8, &[u8])],
    ) {
        let Packet { xid, chaddr, .. } = heard.packet;
        let mut answer = Packet { op: BOOT_REPLY, xid, chaddr, yiaddr: ip, ..Packet::default() };
        answer.options.set(code::MESSAGE_TYPE, [kind as u8]);
        answer.options.set(code::SERVER_ID, SERVER.octets());
        for (code, value) in options {
            answer.options.set(*code, *value);
        }
        let [from, to] =
            [(SERVER, 67), (Ipv4Addr::BROADCAST, 68)].map(|(ip, port)| SocketAddrV4::new(ip, port));
        let frame = frame([[0xff; 6], self.far_mac], from, to, &answer.encode()).unwrap();
        self.socket.send(&frame).await.unwrap();
    }

    /// Gives a client an address with these options.
    pub(super) async fn assign(&self, ip: Ipv4Addr, options: &[(u8, &[u8])]) {
        let mut offered = None;
        loop {
            let heard = self.hear().await;
            match heard.kind {
                MessageType::Discover => {
                    offered = Some(heard.packet.xid);
                    self.answer(&heard, MessageType::Offer, ip, options).await;
                }
                // Of a client before, which has repeated it.
                MessageType::Request if offered != Some(heard.packet.xid) => {}
                MessageType::Request => {
                    return self.answer(&heard, MessageType::Ack, ip, options).await;
                }
                kind => panic!("a client sends {kind:?}"),
            }
        }
    }
}

fn address(link: &str) -> LinkAddr {
    let mut all = getifaddrs().unwrap().filter(|it| it.interface_name == link);
    all.find_map(|it| it.address?.as_link_addr().copied()).unwrap()
}

/// The DHCP packet in a frame: IPv4 without options, UDP, to port 67.
fn heard(bytes: &[u8]) -> Option<ReceivedPacket> {
    let is_dhcp = bytes.get(12..14) == Some(&ETHERTYPE_IPV4[..])
        && bytes.get(14) == Some(&0x45)
        && bytes.get(23) == Some(&17)
        && bytes.get(36..38) == Some(&67_u16.to_be_bytes()[..]);
    let from: [u8; 4] = bytes.get(26..30)?.try_into().ok()?;
    let packet = Packet::parse(bytes.get(42..)?).ok().filter(|_| is_dhcp)?;
    Some(ReceivedPacket { from: from.into(), kind: MessageType::of(&packet)?, packet })
}

/// Waits until this is so; [`alone`] ends a test in which it never is.
pub(super) async fn eventually(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        sleep(Duration::from_millis(20)).await;
    }
}
