//! A netlink socket: one request at a time, each acknowledged.

use super::message;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::{self, Read},
    time::Duration,
};

/// `AF_NETLINK`.
pub(super) const FAMILY: i32 = 16;
const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 4;
const REPLACE: u16 = 0x100;
const CREATE: u16 = 0x400;
const ERROR: u16 = 2;
/// The kernel answers at once, but a driver that asks its firmware may take longer.
const TIMEOUT: Duration = Duration::from_secs(2);
const DATAGRAM: usize = 32 << 10;
/// Most datagrams of one reply.
const LIMIT: usize = 64;

/// Why the kernel could not be asked, or did not answer.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The socket failed.
    #[error("netlink socket failed")]
    Socket(#[from] io::Error),
    /// The kernel refused the request, with this error.
    #[error("the kernel rejected the netlink request")]
    Refused(#[source] io::Error),
    /// The reply does not end.
    #[error("netlink response is incomplete")]
    Endless,
}

pub(super) struct Netlink {
    socket: Socket,
    sequence: u32,
}

impl Netlink {
    pub(super) fn open(protocol: i32) -> Result<Self, NetlinkError> {
        let kind = Type::RAW.cloexec();
        let socket = Socket::new(Domain::from(FAMILY), kind, Some(Protocol::from(protocol)))?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Sends a request; returns the payloads of its reply.
    pub(super) fn call(&mut self, kind: u16, payload: &[u8]) -> Result<Vec<Vec<u8>>, NetlinkError> {
        self.send(kind, 0, payload)
    }

    /// Sends a request that replaces what is there.
    pub(super) fn replace(&mut self, kind: u16, payload: &[u8]) -> Result<(), NetlinkError> {
        self.send(kind, CREATE | REPLACE, payload).map(drop)
    }

    fn send(
        &mut self,
        kind: u16,
        flags: u16,
        payload: &[u8],
    ) -> Result<Vec<Vec<u8>>, NetlinkError> {
        self.sequence += 1;
        let flags = REQUEST | ACKNOWLEDGE | flags;
        let request = message::request(kind, flags, self.sequence, payload);
        self.socket.send(&request)?;
        let (mut answer, mut buffer) = (Vec::new(), vec![0; DATAGRAM]);
        for _ in 0..LIMIT {
            let length = self.socket.read(&mut buffer)?;
            for message in message::messages(&buffer[..length]) {
                if message.sequence != self.sequence {
                    continue;
                }
                if message.kind == ERROR {
                    return acknowledged(message.payload).map(|()| answer);
                }
                answer.push(message.payload.to_vec());
            }
        }
        Err(NetlinkError::Endless)
    }
}

/// The result in an acknowledgement: zero, or a negative error number.
fn acknowledged(payload: &[u8]) -> Result<(), NetlinkError> {
    match message::u32_at(payload, 0).map_or(0, u32::cast_signed) {
        0 => Ok(()),
        error => Err(NetlinkError::Refused(io::Error::from_raw_os_error(error.saturating_neg()))),
    }
}
