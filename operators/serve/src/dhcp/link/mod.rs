//! The sockets of DHCP: one per interface or address that is served.

pub mod v4;
pub mod v6;

use futures::future::select_all;
use nix::net::if_::if_nametoindex;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    fmt::{Debug, Display},
    io,
};
use tokio::net::UdpSocket;

/// How many bytes of packets the kernel buffers while we are busy: about 10,000 packets.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Why a bind target cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such interface.
    #[error("network interface `{name}` not found")]
    NoInterface {
        /// Its name.
        name: String,
        /// The kernel's error.
        source: nix::Error,
    },
    /// The socket could not be set up.
    #[error(
        "{bind_target}: could not listen; check that no other DHCP server is running, and that this \
         process has CAP_NET_BIND_SERVICE"
    )]
    Socket {
        /// The bind target.
        bind_target: String,
        /// The reason.
        source: io::Error,
    },
}

/// A socket at its bind target, for one IP version.
pub trait Link: Debug + Sized {
    /// Where packets are received.
    type BindTarget: Clone + Debug + Display + PartialEq;
    /// One of our addresses.
    type Address: Copy + Debug;
    /// The other side of an exchange.
    type Peer: Copy + Debug + Display;
    /// A received packet.
    type Packet: Debug;
    /// An answer.
    type Reply: Debug;

    /// Opens the socket of a bind target. Call within a tokio runtime.
    ///
    /// # Errors
    ///
    /// If the bind target does not exist, or is taken.
    fn open(bind_target: Self::BindTarget) -> Result<Self, Error>;

    /// The bind target.
    fn bind_target(&self) -> &Self::BindTarget;

    /// The socket.
    fn socket(&self) -> &UdpSocket;

    /// Whether the interface has disappeared, or was replaced by another one with its name.
    fn is_stale(&self) -> bool;

    /// Receives a packet: its length, its source, and our address if it was sent to us alone.
    ///
    /// # Errors
    ///
    /// If there is none, or the socket has failed.
    fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Self::Peer, Option<Self::Address>)>;

    /// The packet in these bytes, and the metric label of its type, if known.
    ///
    /// # Errors
    ///
    /// The metric label of what is wrong with it.
    fn parse(bytes: &[u8]) -> Result<(Self::Packet, Option<&'static str>), &'static str>;

    /// Sends an answer to a peer that sent its request from the address `from`, and to our address
    /// `own` if by unicast. Returns where it went.
    ///
    /// # Errors
    ///
    /// If the kernel refuses it.
    fn send(
        &self,
        reply: &Self::Reply,
        from: Self::Peer,
        own: Option<Self::Address>,
    ) -> (Self::Peer, io::Result<()>);

    /// The metric label of an answer's type.
    fn kind(reply: &Self::Reply) -> &'static str;
}

/// Waits until a packet has arrived at one of the sockets, or one has failed.
pub(super) async fn readable(sockets: impl Iterator<Item = &UdpSocket>) {
    let waiting: Vec<_> = sockets.map(|socket| Box::pin(socket.readable())).collect();
    if waiting.is_empty() {
        std::future::pending::<()>().await;
    }
    // An error shows again when the socket is read.
    select_all(waiting).await.0.ok();
}

fn index_of(name: &str) -> Result<u32, Error> {
    if_nametoindex(name).map_err(|source| Error::NoInterface { name: name.to_owned(), source })
}

/// A socket that is not bound yet.
fn socket(domain: Domain) -> io::Result<Socket> {
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // All bind targets share the port: those of several interfaces, and those of an interface and an
    // address on it.
    socket.set_reuse_address(true)?;
    crate::buffer::enlarge(&socket, RECEIVE_BUFFER)?;
    Ok(socket)
}
