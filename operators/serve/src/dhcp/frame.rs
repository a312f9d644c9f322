//! Answers for clients that do not have their address yet (RFC 2131, section 4.1): they cannot
//! answer ARP requests, so the kernel could not resolve the address. They get an Ethernet frame to
//! the hardware address that they gave.

use metal_api::MacAddr;
use metal_dhcp::v4::frame;
use nix::{
    ifaddrs::getifaddrs,
    sys::socket::{LinkAddr, bind},
};
use socket2::{Domain, Socket, Type};
use std::{io, net::SocketAddrV4, os::fd::AsRawFd as _};

/// ARP hardware type of Ethernet.
const ETHERNET: u16 = 1;

/// Sends frames on an interface.
#[derive(Debug)]
pub(super) struct Frames {
    socket: Socket,
    own: [u8; 6],
}

impl Frames {
    /// Opens a socket that sends on an interface, and receives nothing.
    ///
    /// # Errors
    ///
    /// Without `CAP_NET_RAW`, or if the interface is not an Ethernet.
    pub(super) fn open(interface: &str) -> io::Result<Self> {
        let link = link_address(interface)?;
        let own = link.addr().filter(|own| link.hatype() == ETHERNET && *own != [0; 6]);
        let own = own.ok_or_else(|| io::Error::other("no Ethernet"))?;
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        socket.set_nonblocking(true)?;
        bind(socket.as_raw_fd(), &link)?;
        Ok(Self { socket, own })
    }

    /// Sends a datagram to a hardware address.
    ///
    /// # Errors
    ///
    /// If the kernel refuses it.
    pub(super) fn send(
        &self,
        from: SocketAddrV4,
        to: SocketAddrV4,
        at: MacAddr,
        data: &[u8],
    ) -> io::Result<()> {
        let too_long = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let head = [at.0, self.own];
        let frame = frame(head, from, to, data).map_err(too_long)?;
        self.socket.send(&frame).map(drop)
    }
}

fn link_address(interface: &str) -> io::Result<LinkAddr> {
    let mut all = getifaddrs()?.filter(|it| it.interface_name == interface);
    let link = all.find_map(|it| it.address?.as_link_addr().copied());
    link.ok_or_else(|| io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_no_ethernet() {
        assert!(Frames::open("lo").is_err());
        assert!(Frames::open("nowhere0").is_err());
    }
}
