//! Receives LLDP frames of all links on one packet socket.

use super::Announcement;
use nix::{
    net::if_::if_indextoname,
    sys::socket::{LinkAddr, recvfrom},
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net,
    },
};
use tokio::{io::Interest, net::UnixDatagram};

/// EtherType of LLDP (IEEE 802.1AB-2016, clause 7).
const ETHERTYPE: u16 = 0x88cc;
/// More than an LLDP frame can have without jumbo frames.
const FRAME: usize = 2048;

/// The socket could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("receiving LLDP requires a packet socket (CAP_NET_RAW)")]
pub struct ListenError(#[from] io::Error);

/// The socket. The kernel queues frames until they are read.
///
/// The runtime has no type for packet sockets, but waits for any descriptor alike, so its Unix
/// datagram type serves, for waiting only.
#[derive(Debug)]
pub struct Listener(UnixDatagram);

impl Listener {
    /// Opens the socket, which hears all links from then on. Must be called within the runtime.
    pub fn open() -> Result<Self, ListenError> {
        // The kernel takes the EtherType in network byte order.
        let protocol = Protocol::from(i32::from(ETHERTYPE.to_be()));
        let socket =
            Socket::new(Domain::PACKET, Type::RAW.nonblocking().cloexec(), Some(protocol))?;
        let carrier = net::UnixDatagram::from(OwnedFd::from(socket));
        Ok(Self(UnixDatagram::from_std(carrier)?))
    }

    /// The next announcement, and the name of the link it arrived on. Malformed frames are skipped.
    /// Cancel safe.
    pub async fn next(&self) -> Result<(String, Announcement), ListenError> {
        let mut frame = [0; FRAME];
        loop {
            self.0.readable().await?;
            let received = self.0.try_io(Interest::READABLE, || {
                Ok(recvfrom::<LinkAddr>(self.0.as_raw_fd(), &mut frame)?)
            });
            match received {
                Ok((length, from)) => {
                    if let Some(heard) = from.and_then(|from| heard(&frame[..length], &from)) {
                        return Ok(heard);
                    }
                }
                // Every socket is told when a link goes down; this one continues.
                Err(error) if passes(&error) => {}
                Err(error) => return Err(ListenError(error)),
            }
        }
    }
}

fn passes(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, NetworkDown, WouldBlock};
    matches!(error.kind(), Interrupted | NetworkDown | WouldBlock)
}

fn heard(frame: &[u8], from: &LinkAddr) -> Option<(String, Announcement)> {
    let index = u32::try_from(from.ifindex()).ok()?;
    let link = if_indextoname(index).ok()?.to_string_lossy().into_owned();
    match Announcement::parse(frame) {
        Ok(announcement) => Some((link, announcement)),
        Err(error) => {
            tracing::debug!(link, %error, "LLDP frame ignored");
            None
        }
    }
}
