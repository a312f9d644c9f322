//! A cable to netboot, on which anything may be forged.

use anyhow::{Context, Result};
use e2e::namespace::ip;
use nix::{
    ifaddrs::getifaddrs,
    sys::socket::{LinkAddr, bind, setsockopt, sockopt},
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io::Read,
    net::{Ipv4Addr, Ipv6Addr, SocketAddrV4},
    os::fd::AsRawFd,
    time::Duration,
};

const ETHERTYPE_IPV4: u16 = 0x0800;
const BROADCAST: [u8; 6] = [0xff; 6];
const ETHERNET_LEN: usize = 14;
const IP_LEN: usize = 20;
const UDP_LEN: usize = 8;
const UDP: u8 = 17;
/// How long to wait for a frame before checking the time.
const TICK: Duration = Duration::from_millis(50);
const BUFFER: usize = 8 << 20;

/// The other end of a cable to netboot.
#[derive(Debug)]
pub(crate) struct Wire {
    own: LinkAddr,
    netboot: [u8; 6],
}

/// Sends and receives frames on it.
#[derive(Debug)]
pub(crate) struct Frames {
    socket: Socket,
    own: [u8; 6],
    netboot: [u8; 6],
}

impl Wire {
    /// Plugs in a cable: netboot's end has this name and these addresses.
    pub(crate) fn plug(name: &str, address: Ipv4Addr, v6: Ipv6Addr) -> Result<Self> {
        ip(&format!("link add {name} type veth peer name {name}-far"))?;
        ip(&format!("address add {address}/16 dev {name}"))?;
        ip(&format!("address add {v6}/64 dev {name} nodad"))?;
        ip(&format!("link set {name} up"))?;
        ip(&format!("link set {name}-far up"))?;
        let netboot = link(name)?.addr().context("no MAC address")?;
        Ok(Self { own: link(&format!("{name}-far"))?, netboot })
    }

    /// A sender and receiver at this end.
    pub(crate) fn frames(&self) -> Result<Frames> {
        // The kernel wants network byte order. With this protocol, only incoming IPv4 is received.
        let protocol = Protocol::from(i32::from(ETHERTYPE_IPV4.to_be()));
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol))?;
        setsockopt(&socket, sockopt::RcvBufForce, &BUFFER)
            .or_else(|_| setsockopt(&socket, sockopt::RcvBuf, &BUFFER))?;
        socket.set_read_timeout(Some(TICK))?;
        bind(socket.as_raw_fd(), &self.own)?;
        let own = self.own.addr().context("no MAC address")?;
        Ok(Frames { socket, own, netboot: self.netboot })
    }
}

impl Frames {
    /// Sends a datagram in a frame to netboot, or to everybody.
    pub(crate) fn send(&self, from: SocketAddrV4, to: SocketAddrV4, data: &[u8]) -> Result<()> {
        let at = if to.ip().is_broadcast() { BROADCAST } else { self.netboot };
        self.socket.send(&frame(at, self.own, from, to, data)?)?;
        Ok(())
    }

    /// The next datagram to this port; `None` if there is none within a moment.
    pub(crate) fn hear(&self, port: u16) -> Option<Vec<u8>> {
        let mut buffer = [0; 2048];
        let len = (&self.socket).read(&mut buffer).ok()?;
        let packet = buffer.get(ETHERNET_LEN..len)?;
        let (head, datagram) = packet.split_at_checked(IP_LEN)?;
        let is_ours =
            head[0] == 0x45 && head[9] == UDP && datagram.get(2..4)? == port.to_be_bytes();
        is_ours.then(|| datagram.get(UDP_LEN..).map(<[u8]>::to_vec))?
    }
}

/// The number of a device.
pub(crate) fn index(name: &str) -> Result<u32> {
    Ok(u32::try_from(link(name)?.ifindex())?)
}

fn link(name: &str) -> Result<LinkAddr> {
    let mut all = getifaddrs()?.filter(|it| it.interface_name == name);
    all.find_map(|it| it.address?.as_link_addr().copied()).context("no such link")
}

/// A datagram in its frame, without a UDP checksum.
fn frame(
    at: [u8; 6],
    own: [u8; 6],
    from: SocketAddrV4,
    to: SocketAddrV4,
    data: &[u8],
) -> Result<Vec<u8>> {
    let udp_len = u16::try_from(UDP_LEN + data.len())?;
    let total = u16::try_from(IP_LEN)? + udp_len;
    let mut ip = [0; IP_LEN];
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&total.to_be_bytes());
    ip[8..10].copy_from_slice(&[64, UDP]);
    ip[12..16].copy_from_slice(&from.ip().octets());
    ip[16..].copy_from_slice(&to.ip().octets());
    let words = ip.as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_be_bytes(*word)));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16))?;
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let udp = [from.port(), to.port(), udp_len, 0].map(u16::to_be_bytes);
    Ok([&at[..], &own, &ETHERTYPE_IPV4.to_be_bytes(), &ip, udp.as_flattened(), data].concat())
}
