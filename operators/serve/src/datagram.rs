//! Packets, with our address that they were sent to.

use nix::{
    errno::Errno,
    sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg},
};
use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::AsRawFd,
};

/// A received packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Datagram {
    /// Its length; packets longer than the buffer are cut.
    pub(crate) len: usize,
    /// Who sent it.
    pub(crate) from: SocketAddr,
    /// Our address that it was sent to; `None` for a broadcast or multicast packet.
    pub(crate) to: Option<IpAddr>,
}

impl Datagram {
    /// Receives a packet from a socket with `IP_PKTINFO` or `IPV6_RECVPKTINFO`.
    ///
    /// # Errors
    ///
    /// If there is none, or the socket has failed.
    pub(crate) fn receive(socket: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<Self> {
        let mut control = nix::cmsg_space!(nix::libc::in6_pktinfo);
        let mut slices = [IoSliceMut::new(buffer)];
        let (fd, none) = (socket.as_raw_fd(), MsgFlags::empty());
        let message = recvmsg::<SockaddrStorage>(fd, &mut slices, Some(&mut control), none)?;
        let from = message.address.as_ref().and_then(address_of).ok_or(Errno::EINVAL)?;
        let to = message.cmsgs()?.find_map(|control| destination(&control));
        // A socket of one IP version may report addresses of the other one, too.
        let to = to.filter(|to| to.is_ipv6() == from.is_ipv6());
        Ok(Self { len: message.bytes, from, to })
    }
}

fn address_of(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|it| SocketAddrV4::from(*it).into());
    v4.or_else(|| address.as_sockaddr_in6().map(|it| SocketAddrV6::from(*it).into()))
}

/// Our address that a packet was sent to; `None` if it was sent to many.
fn destination(control: &ControlMessageOwned) -> Option<IpAddr> {
    match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            let address = |bits: u32| Ipv4Addr::from(bits.to_ne_bytes());
            let (sent_to, ours) =
                (address(info.ipi_addr.s_addr), address(info.ipi_spec_dst.s_addr));
            (sent_to == ours).then_some(IpAddr::V4(ours))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            let address = Ipv6Addr::from(info.ipi6_addr.s6_addr);
            (!address.is_multicast()).then_some(IpAddr::V6(address))
        }
        _ => None,
    }
}
