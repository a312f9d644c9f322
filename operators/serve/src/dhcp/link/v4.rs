//! The sockets of DHCPv4.

use super::{Error, index_of, socket};
use crate::{datagram::Datagram, dhcp::frame::Frames};
use metal_dhcp::v4::{MessageType, Packet, Reply};
use nix::{
    ifaddrs::{InterfaceAddress, getifaddrs},
    sys::socket::{ControlMessage, MsgFlags, SockaddrIn, sendmsg, setsockopt, sockopt},
};
use socket2::{Domain, SockAddr, Socket};
use std::{
    io::{self, IoSlice},
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4},
    os::fd::AsRawFd as _,
};
use tokio::{io::Interest, net::UdpSocket};

/// Where packets are received.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BindTarget {
    /// Clients on the link of an interface, and relays that send there.
    Interface {
        /// Its name.
        name: String,
        /// Our port.
        port: u16,
    },
    /// Relays that send to this address, or, if it is unspecified, to any of ours.
    Address(SocketAddrV4),
}

/// A socket at its bind target.
#[derive(Debug)]
pub struct Link {
    /// The bind target.
    pub bind_target: BindTarget,
    /// The socket.
    pub socket: UdpSocket,
    /// Our address there, which is the server identifier for clients that send to everybody: if
    /// there are several, one in a configured subnet. `None` for an interface that has none yet.
    pub address: Option<Ipv4Addr>,
    /// All of our addresses on the link.
    pub addresses: Vec<Ipv4Addr>,
    /// Whether clients on the link itself are not in any configured subnet.
    pub is_without_subnet: bool,
    /// Whether our addresses there are in several configured subnets.
    pub has_several_subnets: bool,
    /// Sends answers to a single client; `None` if we lack the permission, or it is not an
    /// Ethernet.
    frames: Option<Frames>,
    /// The interface may disappear, and another one with its name may replace it.
    index: Option<u32>,
}

impl super::Link for Link {
    type BindTarget = BindTarget;
    type Address = Ipv4Addr;
    type Peer = SocketAddrV4;
    type Packet = Packet;
    type Reply = Reply;

    fn open(bind_target: BindTarget) -> Result<Self, Error> {
        let (index, socket) = match &bind_target {
            BindTarget::Interface { name, port } => {
                let index = index_of(name)?;
                (Some(index), on_interface(name, *port))
            }
            BindTarget::Address(address) => (None, at_address(*address)),
        };
        let failed = |source| Error::Socket { bind_target: bind_target.to_string(), source };
        let socket =
            socket.and_then(|socket| UdpSocket::from_std(socket.into())).map_err(failed)?;
        let frames = bind_target.frames();
        let (address, addresses) = (None, Vec::new());
        Ok(Self {
            bind_target,
            socket,
            address,
            addresses,
            is_without_subnet: false,
            has_several_subnets: false,
            frames,
            index,
        })
    }

    fn bind_target(&self) -> &BindTarget {
        &self.bind_target
    }

    fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    fn is_stale(&self) -> bool {
        match &self.bind_target {
            BindTarget::Interface { name, .. } => index_of(name).ok() != self.index,
            BindTarget::Address(_) => false,
        }
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddrV4, Option<Ipv4Addr>)> {
        let Datagram { len, from, to } =
            self.socket.try_io(Interest::READABLE, || Datagram::receive(&self.socket, buffer))?;
        let SocketAddr::V4(from) = from else { return Err(io::ErrorKind::InvalidData.into()) };
        let destination = match to {
            Some(IpAddr::V4(to)) => Some(to),
            Some(IpAddr::V6(_)) | None => self.bind_target.address(),
        };
        Ok((len, from, destination))
    }

    fn parse(bytes: &[u8]) -> Result<(Packet, Option<&'static str>), &'static str> {
        let packet = Packet::parse(bytes)?;
        let kind = MessageType::of(&packet).map(Into::into);
        Ok((packet, kind))
    }

    fn send(
        &self,
        reply: &Reply,
        from: SocketAddrV4,
        _: Option<Ipv4Addr>,
    ) -> (SocketAddrV4, io::Result<()>) {
        let data = reply.packet.encode();
        if let (Some(frames), Some(mac)) = (&self.frames, reply.direct) {
            let to = SocketAddrV4::new(reply.packet.yiaddr, reply.to.port());
            let own = SocketAddrV4::new(reply.from, self.bind_target.port());
            // Whatever the reason, a frame to everybody may get through.
            if frames.send(own, to, mac, &data).is_ok() {
                return (to, Ok(()));
            }
        }
        let to = self.destination(reply.to, from);
        (to, self.send_from(&data, reply.from, to))
    }

    fn kind(reply: &Reply) -> &'static str {
        reply.kind.into()
    }
}

impl Link {
    /// Looks for our address again, as it or the subnets may have changed: of several, the first one
    /// that `is_served`. Whether clients on the link itself are in no subnet that is served, since
    /// now.
    pub fn find_address(&mut self, is_served: impl Fn(Ipv4Addr) -> bool) -> bool {
        let BindTarget::Interface { name, .. } = &self.bind_target else {
            self.address = self.bind_target.address();
            self.addresses = self.address.into_iter().collect();
            return false;
        };
        self.addresses = addresses_of(name);
        let served = self.addresses.iter().copied().find(|own| is_served(*own));
        self.address = served.or_else(|| self.addresses.first().copied());
        let was_without = self.is_without_subnet;
        self.is_without_subnet = served.is_none() && !self.addresses.is_empty();
        self.is_without_subnet && !was_without
    }

    /// Whether nobody on the link can be answered yet, because the interface has no address.
    pub fn waits_for_address(&self) -> bool {
        self.index.is_some() && self.address.is_none()
    }

    /// Notes how many configured subnets our addresses on the link are in. Whether there are several,
    /// since now.
    pub fn note_subnets(&mut self, count: usize) -> bool {
        let is_new = count > 1 && !self.has_several_subnets;
        self.has_several_subnets = count > 1;
        is_new
    }

    fn send_from(&self, data: &[u8], from: Ipv4Addr, to: SocketAddrV4) -> io::Result<()> {
        if self.bind_target.address().is_some() {
            return self.socket.try_send_to(data, to.into()).map(drop);
        }
        let own = nix::libc::in_addr { s_addr: u32::from_ne_bytes(from.octets()) };
        let any = nix::libc::in_addr { s_addr: 0 };
        let info = nix::libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: own, ipi_addr: any };
        self.socket.try_io(Interest::WRITABLE, || {
            let (fd, none) = (self.socket.as_raw_fd(), MsgFlags::empty());
            let control = [ControlMessage::Ipv4PacketInfo(&info)];
            let to = SockaddrIn::from(to);
            sendmsg(fd, &[IoSlice::new(data)], &control, none, Some(&to))?;
            Ok(())
        })
    }

    /// The destination of an answer from here. A broadcast cannot be sent to a link that we are not
    /// on, but the sender has an address from which it reached us.
    fn destination(&self, to: SocketAddrV4, from: SocketAddrV4) -> SocketAddrV4 {
        match &self.bind_target {
            BindTarget::Address(_) if to.ip().is_broadcast() => from,
            BindTarget::Interface { .. } | BindTarget::Address(_) => to,
        }
    }
}

impl BindTarget {
    /// Opens the frame socket. If that is not possible, all clients are answered by broadcast.
    fn frames(&self) -> Option<Frames> {
        let Self::Interface { name, .. } = self else { return None };
        let opened = Frames::open(name);
        if let Err(error) = &opened {
            let hint = "requires CAP_NET_RAW and an Ethernet interface";
            tracing::info!(place = %self, %error, hint, "responding to all clients by broadcast");
        }
        opened.ok()
    }

    /// Our address, if the bind target is one.
    fn address(&self) -> Option<Ipv4Addr> {
        match self {
            Self::Interface { .. } => None,
            Self::Address(address) => Some(*address.ip()).filter(|own| !own.is_unspecified()),
        }
    }

    /// Our port.
    pub fn port(&self) -> u16 {
        match self {
            Self::Interface { port, .. } => *port,
            Self::Address(address) => address.port(),
        }
    }
}

impl std::fmt::Display for BindTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Interface { name, port } => write!(f, "{name}:{port}"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

fn on_interface(name: &str, port: u16) -> io::Result<Socket> {
    let socket = socket(Domain::IPV4)?;
    socket.set_broadcast(true)?;
    setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    socket.bind_device(Some(name.as_bytes()))?;
    socket.bind(&SockAddr::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port)))?;
    Ok(socket)
}

fn at_address(address: SocketAddrV4) -> io::Result<Socket> {
    let socket = socket(Domain::IPV4)?;
    if address.ip().is_unspecified() {
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    }
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

/// The interface that has this address.
pub fn interface_of(address: Ipv4Addr) -> Option<String> {
    let mut all = getifaddrs().into_iter().flatten();
    let has = |it: &InterfaceAddress| {
        it.address.and_then(|it| Some(it.as_sockaddr_in()?.ip())) == Some(address)
    };
    all.find(has).map(|it| interface_of_label(&it.interface_name).to_owned())
}

/// The interface of an address with this label. Labels begin with the name of the interface, and
/// names have no colon (`ip-address(8)`).
fn interface_of_label(label: &str) -> &str {
    label.split_once(':').map_or(label, |(interface, _)| interface)
}

/// The addresses of an interface that are not link-local.
fn addresses_of(name: &str) -> Vec<Ipv4Addr> {
    let is_its = |it: &InterfaceAddress| interface_of_label(&it.interface_name) == name;
    let all = getifaddrs().into_iter().flatten().filter(is_its);
    let addresses = all.filter_map(|it| Some(it.address?.as_sockaddr_in()?.ip()));
    addresses.filter(|address| !address.is_link_local()).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::Link as _, *};

    #[tokio::test]
    async fn an_interface_is_served_with_its_address() {
        let mut link =
            Link::open(BindTarget::Interface { name: "lo".to_owned(), port: 0 }).unwrap();
        assert!(link.find_address(|_| false), "it is news");
        assert_eq!((link.address, link.is_without_subnet), (Some(Ipv4Addr::LOCALHOST), true));
        assert!(!link.find_address(|_| false), "it is known");
        assert!(!link.find_address(|own| own == Ipv4Addr::LOCALHOST));
        assert_eq!((link.address, link.is_without_subnet), (Some(Ipv4Addr::LOCALHOST), false));
        let news = [1, 2, 3, 1, 2].map(|count| link.note_subnets(count));
        assert_eq!(news, [false, true, false, false, true]);
        assert!(!link.is_stale());
        let everybody = SocketAddrV4::new(Ipv4Addr::BROADCAST, 68);
        let from = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 4242);
        assert_eq!(link.destination(everybody, from), everybody);
    }

    #[tokio::test]
    async fn who_listens_at_every_address_waits_for_none() {
        let any = BindTarget::Address(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));
        let mut link = Link::open(any).unwrap();
        link.find_address(|_| true);
        assert!(!link.waits_for_address());
        let mut link =
            Link::open(BindTarget::Interface { name: "lo".to_owned(), port: 0 }).unwrap();
        assert!(link.waits_for_address());
        link.find_address(|_| true);
        assert!(!link.waits_for_address());
    }

    #[tokio::test]
    async fn a_unicast_request_is_answered_from_the_address_it_was_sent_to() {
        let any = BindTarget::Address(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));
        for target in [BindTarget::Interface { name: "lo".to_owned(), port: 0 }, any] {
            asked_alone(Link::open(target).unwrap()).await;
        }
    }

    #[test]
    fn an_address_with_a_label_is_one_of_its_interface() {
        for (label, interface) in
            [("eth1:1", "eth1"), ("eth1:", "eth1"), ("eth1.5:a:b", "eth1.5"), ("eth1", "eth1")]
        {
            assert_eq!(interface_of_label(label), interface);
        }
    }

    async fn asked_alone(link: Link) {
        let port = link.socket.local_addr().unwrap().port();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let SocketAddr::V4(from) = client.local_addr().unwrap() else { panic!("IPv4") };
        for own in [Ipv4Addr::LOCALHOST, [127, 0, 0, 7].into()] {
            client.send_to(b"abc", (own, port)).await.unwrap();
            let mut buffer = [0; 100];
            let received = loop {
                link.socket.readable().await.unwrap();
                if let Ok(received) = link.receive(&mut buffer) {
                    break received;
                }
            };
            assert_eq!(received, (3, from, Some(own)));
            link.socket.writable().await.unwrap();
            link.send_from(b"answer", own, from).unwrap();
            let (len, sender) = client.recv_from(&mut buffer).await.unwrap();
            assert_eq!((len, sender), (6, (own, port).into()));
        }
    }

    #[tokio::test]
    async fn at_an_address_nobody_is_answered_by_broadcast() {
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
        let link = Link::open(BindTarget::Address(address)).unwrap();
        let from = SocketAddrV4::new([10, 0, 0, 9].into(), 68);
        assert_eq!(link.destination(SocketAddrV4::new(Ipv4Addr::BROADCAST, 68), from), from);
        let relay = SocketAddrV4::new([10, 0, 0, 1].into(), 67);
        assert_eq!(link.destination(relay, from), relay);
    }

    #[test]
    fn the_interface_of_an_address_is_known_if_it_is_ours() {
        assert_eq!(interface_of(Ipv4Addr::LOCALHOST).as_deref(), Some("lo"));
        assert_eq!(interface_of([192, 0, 2, 1].into()), None);
    }

    #[tokio::test]
    async fn a_place_that_is_not_there_is_named() {
        let target = BindTarget::Interface { name: "nowhere0".to_owned(), port: 67 };
        let error = Link::open(target).unwrap_err();
        assert_eq!(error.to_string(), "network interface `nowhere0` not found");
        let target = BindTarget::Address(SocketAddrV4::new([192, 0, 2, 1].into(), 0));
        let error = Link::open(target).unwrap_err();
        assert!(error.to_string().starts_with("192.0.2.1:0: could not listen"), "{error}");
    }
}
