//! The sockets of DHCP: one per interface or address that is served.

pub mod v4;
pub mod v6;

use futures::future::select_all;
use nix::net::if_::if_nametoindex;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use tokio::net::UdpSocket;

/// How many bytes of packets the kernel buffers while we are busy: about 10,000 packets.
const RECEIVE_BUFFER: usize = 4 << 20;

/// A place cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such interface.
    #[error("there is no interface `{name}`")]
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

/// Waits until a packet has arrived at one of the sockets, or one has failed.
pub async fn readable(sockets: impl Iterator<Item = &UdpSocket>) {
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
    // One place per interface shares the port; so do an interface and an address on it.
    socket.set_reuse_address(true)?;
    crate::buffer::enlarge(&socket, RECEIVE_BUFFER)?;
    Ok(socket)
}
