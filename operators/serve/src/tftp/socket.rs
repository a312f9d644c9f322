//! Sockets: one that receives requests, and one for each transfer.

use crate::{buffer::enlarge, datagram::Datagram};
use metal_dhcp::tftp::{HEADER_LEN, MAX_REQUEST, data_header};
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, getsockopt, recv, setsockopt, sockopt},
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::{self, IoSlice, Read as _},
    net::{IpAddr, SocketAddr, SocketAddrV6},
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd},
    time::Duration,
};

/// How long a system call may wait, so that the server stops soon after it is told to.
pub(super) const PATIENCE: Duration = Duration::from_millis(250);
/// How many bytes of requests the kernel buffers.
const RECEIVE_BUFFER: usize = 4 << 20;
/// How many bytes of outgoing blocks the kernel buffers.
const SEND_BUFFER: usize = 1 << 20;
/// Size of IPv4 and UDP headers.
const IP_AND_UDP: i32 = 28;
/// Largest block that fits the smallest MTU of IPv6, with room for tunnels; EDK2 asks for it.
const BLKSIZE_V6: u16 = 1428;
/// Limits of one system call (`UDP_MAX_SEGMENTS`, and the length of an IP packet).
const MAX_SEGMENTS: usize = 64;
const MAX_BYTES: usize = 65_000;

/// Receives requests.
#[derive(Debug)]
pub(super) struct Requests(Socket);

impl Requests {
    /// Opens a socket.
    ///
    /// # Errors
    ///
    /// If the address is not ours, or is taken.
    pub(super) fn open(address: SocketAddr) -> io::Result<Self> {
        let socket = udp(address)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        }
        enlarge(&socket, RECEIVE_BUFFER)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.bind(&address.into())?;
        Ok(Self(socket))
    }

    /// Its address.
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()?.as_socket().ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// Waits briefly for a packet.
    ///
    /// # Errors
    ///
    /// If the socket cannot be read.
    pub(super) fn receive(
        &self,
        buffer: &mut [u8; MAX_REQUEST + 1],
    ) -> io::Result<Option<Datagram>> {
        match Datagram::receive(&self.0, buffer) {
            Ok(datagram) => Ok(Some(datagram)),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(None),
                _ => Err(error),
            },
        }
    }
}

/// The socket of one transfer: from the address that the request was sent to, to its client only.
#[derive(Debug)]
pub(super) struct Peer {
    socket: Socket,
    /// The size of packets into which the kernel splits what it gets.
    segment: Option<usize>,
}

impl Peer {
    /// Opens a socket.
    ///
    /// # Errors
    ///
    /// If the address is no longer ours, or the client cannot be reached.
    pub(super) fn open(here: IpAddr, client: SocketAddr) -> io::Result<Self> {
        // A link-local address needs the link, which comes with the client's address.
        let here = match (here, client) {
            (IpAddr::V6(here), SocketAddr::V6(client)) if here.is_unicast_link_local() => {
                SocketAddr::V6(SocketAddrV6::new(here, 0, 0, client.scope_id()))
            }
            (here, _) => SocketAddr::new(here, 0),
        };
        let socket = udp(here)?;
        socket.bind(&here.into())?;
        socket.connect(&client.into())?;
        Ok(Self { socket, segment: None })
    }

    /// Prepares it for sending a file, at a cost that forged requests should not have.
    ///
    /// # Errors
    ///
    /// If the kernel does not support these options, or the client is gone.
    pub(super) fn prepare(&mut self, blksize: u16, windowsize: u16) -> io::Result<()> {
        self.socket.set_read_timeout(Some(PATIENCE))?;
        self.socket.set_write_timeout(Some(PATIENCE))?;
        self.socket.set_send_buffer_size(SEND_BUFFER)?;
        if windowsize > 1 {
            self.segment(blksize);
        }
        Ok(())
    }

    /// The socket, for polling.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The largest block that reaches the client without fragmentation.
    pub(super) fn blksize(&self) -> Option<u16> {
        let is_v6 = self.socket.peer_addr().is_ok_and(|peer| peer.is_ipv6());
        if is_v6 {
            return Some(BLKSIZE_V6);
        }
        let mtu = getsockopt(&self.socket, sockopt::IpMtu).ok()?;
        let block = mtu - IP_AND_UDP - i32::try_from(HEADER_LEN).ok()?;
        Some(u16::try_from(block).unwrap_or(if block > 0 { u16::MAX } else { 0 }))
    }

    /// Lets the kernel split what is sent into blocks of this size, if it can.
    fn segment(&mut self, blksize: u16) {
        let segment = usize::from(blksize) + HEADER_LEN;
        let option = i32::from(blksize) + 4;
        // Anything longer than a segment is split, including an OACK, which must not be.
        if segment >= MAX_REQUEST
            && 2 * segment <= MAX_BYTES
            && setsockopt(&self.socket, sockopt::UdpGsoSegment, &option).is_ok()
        {
            self.segment = Some(segment);
        }
    }

    /// How many blocks may be sent with one call.
    pub(super) fn batch(&self) -> u64 {
        let count = self.segment.map_or(1, |segment| (MAX_BYTES / segment).clamp(1, MAX_SEGMENTS));
        count as u64
    }

    /// Waits briefly for a packet.
    ///
    /// # Errors
    ///
    /// If there is none, or nothing is listening at the client's port any longer.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.socket).read(buffer)
    }

    /// Receives a packet that has arrived.
    ///
    /// # Errors
    ///
    /// If there is none, or nothing is listening at the client's port any longer.
    pub(super) fn receive_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        recv(self.socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT).map_err(Into::into)
    }

    /// Sends a packet that is not a block.
    ///
    /// # Errors
    ///
    /// If the kernel refuses it.
    pub(super) fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.socket.send(packet).map(drop)
    }

    /// Sends one block.
    ///
    /// # Errors
    ///
    /// If the kernel refuses it.
    pub(super) fn send_block(&self, number: u64, data: &[u8]) -> io::Result<()> {
        let header = data_header(number);
        self.socket.send_vectored(&[IoSlice::new(&header), IoSlice::new(data)]).map(drop)
    }

    /// Sends blocks, at most [`Self::batch`] of them. All but the last have the same length.
    ///
    /// # Errors
    ///
    /// If the kernel refuses them.
    pub(super) fn send_blocks(&mut self, first: u64, blocks: &[&[u8]]) -> io::Result<()> {
        let headers: Vec<_> = (first..).take(blocks.len()).map(data_header).collect();
        let pairs = headers.iter().zip(blocks);
        let slices: Vec<_> =
            pairs.flat_map(|(header, data)| [IoSlice::new(header), IoSlice::new(data)]).collect();
        match self.socket.send_vectored(&slices) {
            Err(error) if matches!(error.raw_os_error(), Some(code) if cannot_cut(code)) => {
                setsockopt(&self.socket, sockopt::UdpGsoSegment, &0)?;
                self.segment = None;
                (first..).zip(blocks).try_for_each(|(number, data)| self.send_block(number, data))
            }
            sent => sent.map(drop),
        }
    }
}

/// The kernel's error if a device or a tunnel cannot split packets.
fn cannot_cut(code: i32) -> bool {
    matches!(Errno::from_raw(code), Errno::EIO | Errno::EINVAL | Errno::EMSGSIZE)
}

fn udp(address: SocketAddr) -> io::Result<Socket> {
    Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))
}
