//! Broadcasts of a client without an address. The kernel would send them from the address of another port,
//! but their source must be 0.0.0.0 (RFC 2131, section 4.1); so they are frames.

use crate::init::link::Link;
use metal_wire::v4::frame;
use nix::{
    ifaddrs::getifaddrs,
    sys::socket::{LinkAddr, bind},
};
use socket2::{Domain, Socket, Type};
use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::AsRawFd as _,
};

/// The broadcast address of Ethernet.
const BROADCAST: [u8; 6] = [0xff; 6];

/// Sends broadcasts on a link.
#[derive(Debug)]
pub(super) struct Frames {
    socket: Socket,
    mac: [u8; 6],
}

impl Frames {
    /// Opens a socket that sends on a link, and receives nothing.
    ///
    /// # Errors
    ///
    /// Without `CAP_NET_RAW`, or if there is no such link.
    pub(super) fn open(link: &Link) -> io::Result<Self> {
        let address = link_address(link).ok_or(io::ErrorKind::NotFound)?;
        let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking().cloexec(), None)?;
        bind(socket.as_raw_fd(), &address)?;
        Ok(Self { socket, mac: link.mac })
    }

    /// Sends a datagram from this port of 0.0.0.0 to everybody on the link.
    ///
    /// # Errors
    ///
    /// If the kernel refuses it.
    pub(super) fn broadcast(&self, from: u16, to: u16, data: &[u8]) -> io::Result<()> {
        let from = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, from);
        let to = SocketAddrV4::new(Ipv4Addr::BROADCAST, to);
        let too_long = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let frame = frame([BROADCAST, self.mac], from, to, data).map_err(too_long)?;
        self.socket.send(&frame).map(drop)
    }
}

fn link_address(link: &Link) -> Option<LinkAddr> {
    let addresses = getifaddrs().ok()?.filter(|address| address.interface_name == link.name);
    let mut addresses = addresses.filter_map(|address| address.address?.as_link_addr().copied());
    addresses.find(|address| u32::try_from(address.ifindex()) == Ok(link.index))
}
