//! The sockets: one per interface or address that is served.

use metal_dhcp::{
    config::v6::Config,
    v6::{Packet, SERVER_PORT, SERVERS, SITE_SERVERS},
};
use metal_serve::{buffer::enlarge, dhcp::Metrics};
use nix::{
    ifaddrs::getifaddrs,
    net::if_::if_nametoindex,
    sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, sendmsg, setsockopt,
        sockopt,
    },
};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{Ipv6Addr, SocketAddrV6},
    os::fd::AsRawFd as _,
};
use tokio::{io::Interest, net::UdpSocket};

/// How many bytes of packets the kernel buffers while we are busy.
const RECEIVE_BUFFER: usize = 4 << 20;
/// How many packets of one socket are read at once.
const MOST: usize = 1024;
/// Longest packet; longer ones are cut, and most likely malformed then.
const LARGEST: usize = 4096;

/// Where packets come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The clients on the link of an interface, and relays that reach us there.
    Interface(String),
    /// Relays that send to this address.
    Address(SocketAddrV6),
}

/// A packet that has arrived.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) from: SocketAddrV6,
    /// Our address that it was sent to, if it was sent to us alone.
    pub(super) to: Option<Ipv6Addr>,
    pub(super) packet: Packet,
}

/// A socket at its place.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) place: Place,
    pub(super) socket: UdpSocket,
    /// Our addresses there that are not link-local.
    pub(super) addresses: Vec<Ipv6Addr>,
    /// Whether there is an address to answer from.
    pub(super) can_send: bool,
    /// Whether clients on the link itself are in no subnet that is configured.
    pub(super) is_without_subnet: bool,
    /// The interface may be taken away, and another one of its name put in its place.
    index: Option<u32>,
}

/// A place cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is no such interface.
    #[error("dhcp6.interfaces: there is no interface `{name}`")]
    NoInterface {
        /// Its name.
        name: String,
        /// What the kernel says.
        source: nix::Error,
    },
    /// The socket could not be set up.
    #[error("{place}: cannot be served; is another DHCPv6 server running, or a right missing?")]
    Socket {
        /// Where.
        place: String,
        /// Why.
        source: io::Error,
    },
}

/// What a configuration names.
pub(super) fn places(config: &Config) -> Vec<Place> {
    let interfaces = config.interfaces.iter().cloned().map(Place::Interface);
    interfaces.chain(config.listen.iter().copied().map(Place::Address)).collect()
}

/// A DUID-LL of the first of these interfaces that has a MAC address, or else of any (RFC 9915,
/// section 11.4).
pub(super) fn duid(interfaces: &[String]) -> Option<Vec<u8>> {
    let all = getifaddrs().ok()?.filter_map(|it| {
        let mac = it.address?.as_link_addr()?.addr().filter(|mac| *mac != [0; 6])?;
        let place = interfaces.iter().position(|name| *name == it.interface_name);
        Some((place.is_none(), place, it.interface_name, mac))
    });
    let (.., mac) = all.min()?;
    Some([&[0, 3, 0, 1][..], &mac].concat())
}

impl Place {
    /// The interface that clients are on.
    pub(super) fn interface(&self) -> Option<&str> {
        match self {
            Self::Interface(name) => Some(name),
            Self::Address(_) => None,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Interface(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl Link {
    /// Opens the socket of a place. Call within a tokio runtime.
    pub(super) fn open(place: Place) -> Result<Self, Error> {
        let (index, socket) = match &place {
            Place::Interface(name) => {
                let index = index_of(name)?;
                (Some(index), on_interface(name, index))
            }
            Place::Address(address) => (None, bound_to(*address, None)),
        };
        let failed = |source| Error::Socket { place: place.to_string(), source };
        let socket =
            socket.and_then(|socket| UdpSocket::from_std(socket.into())).map_err(failed)?;
        let mut link = Self {
            place,
            socket,
            addresses: Vec::new(),
            can_send: false,
            is_without_subnet: false,
            index,
        };
        link.find_addresses();
        Ok(link)
    }

    /// Looks for our addresses again, as they may have changed.
    pub(super) fn find_addresses(&mut self) {
        let all = match &self.place {
            Place::Interface(name) => addresses_of(name),
            Place::Address(address) => vec![*address.ip()],
        };
        let (local, global): (Vec<_>, Vec<_>) =
            all.into_iter().partition(Ipv6Addr::is_unicast_link_local);
        self.can_send = self.index.is_none() || !local.is_empty();
        self.addresses = global;
    }

    /// Whoever has no subnet from now on is told once.
    pub(super) fn look_for_subnet(&mut self, config: &Config) {
        let Some(name) = self.place.interface() else { return };
        let has = config.subnet_on(name).is_some()
            || self.addresses.iter().any(|own| config.subnet_of(*own).is_some());
        let is_without = !has && !self.addresses.is_empty();
        if is_without && !self.is_without_subnet {
            let hint = "write the subnet of one of its addresses into dhcp6.subnets, or name the \
                        interface there, unless all clients on it are behind relays";
            tracing::warn!(
                interface = name, addresses = ?self.addresses, hint,
                "no IPv6 subnet is configured for this interface: clients on it are not answered"
            );
        }
        self.is_without_subnet = is_without;
    }

    /// Whether the interface was taken away, or replaced by another one of its name.
    pub(super) fn is_stale(&self) -> bool {
        self.place.interface().is_some_and(|name| index_of(name).ok() != self.index)
    }

    /// The packets that have arrived.
    pub(super) fn receive(&self, metrics: &Metrics) -> Vec<Asked> {
        let mut buffer = [0; LARGEST];
        let mut packets = Vec::new();
        for _ in 0..MOST {
            let (len, from, to) = match self.take(&mut buffer) {
                Ok(taken) => taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    // Of an earlier answer, or of an interface that went down.
                    tracing::debug!(%error, place = %self.place, "socket reports an error");
                    break;
                }
            };
            match Packet::parse(&buffer[..len]) {
                Ok(packet) => {
                    metrics.requested(packet.kind());
                    packets.push(Asked { from, to, packet });
                }
                Err(reason) => {
                    tracing::debug!(%from, %reason, "malformed packet");
                    metrics.silent(reason);
                }
            }
        }
        packets
    }

    /// A packet: its length, who sent it, and our address if it was sent to us alone.
    fn take(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddrV6, Option<Ipv6Addr>)> {
        self.socket.try_io(Interest::READABLE, || {
            let mut control = nix::cmsg_space!(nix::libc::in6_pktinfo);
            let mut slices = [IoSliceMut::new(buffer)];
            let (fd, none) = (self.socket.as_raw_fd(), MsgFlags::empty());
            let message = recvmsg::<SockaddrIn6>(fd, &mut slices, Some(&mut control), none)?;
            let asked = message.cmsgs()?.find_map(|control| asked(&control));
            let from = message.address.ok_or(io::ErrorKind::InvalidData)?;
            Ok((message.bytes, from.into(), asked))
        })
    }

    /// Sends a packet, from an address of ours if one was asked alone.
    pub(super) fn send(
        &self,
        data: &[u8],
        own: Option<Ipv6Addr>,
        to: SocketAddrV6,
    ) -> io::Result<()> {
        let Some(own) = own else {
            return self.socket.try_send_to(data, to.into()).map(drop);
        };
        let own = nix::libc::in6_addr { s6_addr: own.octets() };
        let info = nix::libc::in6_pktinfo { ipi6_addr: own, ipi6_ifindex: self.index.unwrap_or(0) };
        self.socket.try_io(Interest::WRITABLE, || {
            let (fd, none) = (self.socket.as_raw_fd(), MsgFlags::empty());
            let control = [ControlMessage::Ipv6PacketInfo(&info)];
            let to = SockaddrIn6::from(to);
            sendmsg(fd, &[IoSlice::new(data)], &control, none, Some(&to))?;
            Ok(())
        })
    }
}

/// The address of ours that a packet was sent to; none if it was sent to many.
fn asked(control: &ControlMessageOwned) -> Option<Ipv6Addr> {
    let ControlMessageOwned::Ipv6PacketInfo(info) = control else { return None };
    Some(Ipv6Addr::from(info.ipi6_addr.s6_addr)).filter(|address| !address.is_multicast())
}

fn index_of(name: &str) -> Result<u32, Error> {
    if_nametoindex(name).map_err(|source| Error::NoInterface { name: name.to_owned(), source })
}

fn on_interface(name: &str, index: u32) -> io::Result<Socket> {
    let everywhere = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, SERVER_PORT, 0, 0);
    let socket = bound_to(everywhere, Some(name))?;
    // RFC 9915, section 7.1.
    for group in [SERVERS, SITE_SERVERS] {
        socket.join_multicast_v6(&group, index)?;
    }
    Ok(socket)
}

fn bound_to(address: SocketAddrV6, interface: Option<&str>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_only_v6(true)?;
    // One place per interface shares the port; so do an interface and an address on it.
    socket.set_reuse_address(true)?;
    setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    enlarge(&socket, RECEIVE_BUFFER)?;
    if let Some(name) = interface {
        socket.bind_device(Some(name.as_bytes()))?;
    }
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

fn addresses_of(name: &str) -> Vec<Ipv6Addr> {
    let all = getifaddrs().into_iter().flatten().filter(|it| it.interface_name == name);
    all.filter_map(|it| Some(it.address?.as_sockaddr_in6()?.ip())).collect()
}
