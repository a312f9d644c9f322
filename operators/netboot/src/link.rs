//! The sockets: one per interface or address that is served.

use nix::{ifaddrs::getifaddrs, net::if_::if_nametoindex};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4},
};
use tokio::net::UdpSocket;

/// What the kernel keeps for us while we are busy: some 10,000 packets.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Where packets come in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The clients on the link of an interface, and relays that reach us there.
    Interface {
        /// Its name.
        name: String,
        /// Our port.
        port: u16,
    },
    /// Relays that send to this address.
    Address(SocketAddrV4),
}

/// A socket at its place.
#[derive(Debug)]
pub struct Link {
    /// The place.
    pub place: Place,
    /// The socket.
    pub socket: UdpSocket,
    /// Our address there; `None` for an interface that has none yet.
    pub address: Option<Ipv4Addr>,
    /// The interface may be taken away, and another one of its name put in its place.
    index: Option<u32>,
}

/// A place cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such interface.
    #[error("interfaces: there is no interface `{name}`")]
    NoInterface {
        /// Its name.
        name: String,
        /// What the kernel says.
        source: nix::Error,
    },
    /// The socket could not be set up.
    #[error("{place}: cannot be served; is another DHCP server running, or a right missing?")]
    Socket {
        /// Where.
        place: String,
        /// Why.
        source: io::Error,
    },
}

impl Link {
    /// Opens the socket of a place. Call within a tokio runtime.
    ///
    /// # Errors
    ///
    /// If there is no such place, or it is taken.
    pub fn open(place: Place) -> Result<Self, Error> {
        let (index, socket) = match &place {
            Place::Interface { name, port } => {
                let index = index_of(name)?;
                (Some(index), on_interface(name, *port))
            }
            Place::Address(address) => (None, at_address(*address)),
        };
        let failed = |source| Error::Socket { place: place.to_string(), source };
        let socket =
            socket.and_then(|socket| UdpSocket::from_std(socket.into())).map_err(failed)?;
        let mut link = Self { place, socket, address: None, index };
        link.find_address();
        Ok(link)
    }

    /// Looks for our address again, as it may have changed.
    pub fn find_address(&mut self) {
        self.address = match &self.place {
            Place::Interface { name, .. } => address_of(name),
            Place::Address(address) => Some(*address.ip()),
        };
    }

    /// Whether the interface was taken away, or replaced by another one of its name.
    pub fn is_stale(&self) -> bool {
        match &self.place {
            Place::Interface { name, .. } => index_of(name).ok() != self.index,
            Place::Address(_) => false,
        }
    }

    /// Where an answer goes from here. What is for everybody on a link cannot be sent to a link
    /// that we are not on; the sender has an address by which it reached us.
    pub fn destination(&self, to: SocketAddrV4, from: SocketAddrV4) -> SocketAddrV4 {
        match &self.place {
            Place::Address(_) if to.ip().is_broadcast() => from,
            Place::Interface { .. } | Place::Address(_) => to,
        }
    }
}

impl Place {
    /// Our port.
    pub fn port(&self) -> u16 {
        match self {
            Self::Interface { port, .. } => *port,
            Self::Address(address) => address.port(),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Interface { name, port } => write!(f, "{name}:{port}"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

fn index_of(name: &str) -> Result<u32, Error> {
    if_nametoindex(name).map_err(|source| Error::NoInterface { name: name.to_owned(), source })
}

fn on_interface(name: &str, port: u16) -> io::Result<Socket> {
    let socket = socket()?;
    socket.set_broadcast(true)?;
    socket.bind_device(Some(name.as_bytes()))?;
    socket.bind(&SockAddr::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port)))?;
    Ok(socket)
}

fn at_address(address: SocketAddrV4) -> io::Result<Socket> {
    let socket = socket()?;
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

fn socket() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // One place per interface shares the port; so do an interface and an address on it.
    socket.set_reuse_address(true)?;
    // A wish: the kernel caps it by net.core.rmem_max.
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    Ok(socket)
}

/// The first address of an interface that is not link-local.
fn address_of(name: &str) -> Option<Ipv4Addr> {
    let all = getifaddrs().ok()?.filter(|it| it.interface_name == name);
    let mut addresses = all.filter_map(|it| Some(it.address?.as_sockaddr_in()?.ip()));
    addresses.find(|address| !address.is_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_interface_is_served_with_its_address() {
        let link = Link::open(Place::Interface { name: "lo".to_owned(), port: 0 }).unwrap();
        assert_eq!(link.address, Some(Ipv4Addr::LOCALHOST));
        assert!(!link.is_stale());
        let everybody = SocketAddrV4::new(Ipv4Addr::BROADCAST, 68);
        let from = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 4242);
        assert_eq!(link.destination(everybody, from), everybody);
    }

    #[tokio::test]
    async fn at_an_address_nobody_is_answered_by_broadcast() {
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
        let link = Link::open(Place::Address(address)).unwrap();
        let from = SocketAddrV4::new([10, 0, 0, 9].into(), 68);
        assert_eq!(link.destination(SocketAddrV4::new(Ipv4Addr::BROADCAST, 68), from), from);
        let relay = SocketAddrV4::new([10, 0, 0, 1].into(), 67);
        assert_eq!(link.destination(relay, from), relay);
    }

    #[tokio::test]
    async fn a_place_that_is_not_there_is_named() {
        let place = Place::Interface { name: "nowhere0".to_owned(), port: 67 };
        let error = Link::open(place).unwrap_err();
        assert_eq!(error.to_string(), "interfaces: there is no interface `nowhere0`");
        let place = Place::Address(SocketAddrV4::new([192, 0, 2, 1].into(), 0));
        let error = Link::open(place).unwrap_err();
        assert!(error.to_string().starts_with("192.0.2.1:0: cannot be served"), "{error}");
    }
}
