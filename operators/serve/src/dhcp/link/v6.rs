//! The sockets of DHCPv6.

use super::{Error, index_of, socket};
use crate::datagram::Datagram;
use metal_dhcp::{
    config::v6::Config,
    v6::{Packet, Reply, SERVER_PORT, SERVERS, SITE_SERVERS},
};
use nix::{
    ifaddrs::{InterfaceAddress, getifaddrs},
    sys::socket::{ControlMessage, MsgFlags, SockaddrIn6, sendmsg, setsockopt, sockopt},
};
use socket2::{Domain, SockAddr, Socket};
use std::{
    io::{self, IoSlice},
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6},
    os::fd::AsRawFd as _,
};
use tokio::{io::Interest, net::UdpSocket};

/// Where packets are received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindTarget {
    /// Clients on the link of an interface, and relays that send there.
    Interface(String),
    /// Relays that send to this address.
    Address(SocketAddrV6),
}

/// A socket at its bind target.
#[derive(Debug)]
pub struct Link {
    /// The bind target.
    pub bind_target: BindTarget,
    /// The socket.
    pub socket: UdpSocket,
    /// Our addresses there that are not link-local.
    pub addresses: Vec<Ipv6Addr>,
    /// Whether there is an address to send answers from.
    pub can_send: bool,
    /// Whether clients on the link itself are not in any configured subnet.
    pub is_without_subnet: bool,
    /// Whether our addresses there are in several configured subnets.
    pub has_several_subnets: bool,
    /// The interface may disappear, and another one with its name may replace it.
    index: Option<u32>,
}

/// The bind targets in a configuration.
pub fn bind_targets(config: &Config) -> Vec<BindTarget> {
    let interfaces = config.interfaces.iter().cloned().map(BindTarget::Interface);
    interfaces.chain(config.listen.iter().copied().map(BindTarget::Address)).collect()
}

/// A DUID of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerDuid {
    /// Its bytes.
    pub id: Vec<u8>,
    /// Whether it is made from an interface that is not served.
    pub is_of_other: bool,
}

/// A DUID-LL of the first interface in the configuration that has a MAC address, or else of one with an
/// address in the configuration, or else of any (RFC 9915, section 11.4). A node has interfaces of
/// containers, too, which come and go.
pub fn duid(config: &Config) -> Option<ServerDuid> {
    let all: Vec<_> = getifaddrs().ok()?.collect();
    let listens = |it: &InterfaceAddress| {
        let own = it.address.and_then(|own| Some(own.as_sockaddr_in6()?.ip()));
        own.is_some_and(|own| config.listen.iter().any(|listen| *listen.ip() == own))
    };
    let listening = all.iter().filter(|it| listens(it)).map(|it| &it.interface_name);
    let wanted: Vec<_> = config.interfaces.iter().chain(listening).collect();
    let macs = all.iter().filter_map(|it| {
        let mac = it.address?.as_link_addr()?.addr().filter(|mac| *mac != [0; 6])?;
        Some((&it.interface_name, mac))
    });
    let (is_of_other, mac) = first_of(&wanted, macs)?;
    Some(ServerDuid { id: [&[0, 3, 0, 1][..], &mac].concat(), is_of_other })
}

/// The MAC address of the first wanted interface that has one, or else of the first by name; and
/// before it, whether that is another one than those wanted.
fn first_of<'a>(
    wanted: &[&String],
    macs: impl Iterator<Item = (&'a String, [u8; 6])>,
) -> Option<(bool, [u8; 6])> {
    let in_order = macs.map(|(name, mac)| {
        let index = wanted.iter().position(|wanted| *wanted == name);
        (index.is_none(), index, name, mac)
    });
    in_order.min().map(|(is_other, .., mac)| (is_other, mac))
}

impl BindTarget {
    /// The interface that clients are on.
    pub fn interface(&self) -> Option<&str> {
        match self {
            Self::Interface(name) => Some(name),
            Self::Address(_) => None,
        }
    }
}

impl std::fmt::Display for BindTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Interface(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl super::Link for Link {
    type BindTarget = BindTarget;
    type Address = Ipv6Addr;
    type Peer = SocketAddrV6;
    type Packet = Packet;
    type Reply = Reply;

    fn open(bind_target: BindTarget) -> Result<Self, Error> {
        let (index, socket) = match &bind_target {
            BindTarget::Interface(name) => {
                let index = index_of(name)?;
                (Some(index), on_interface(name, index))
            }
            BindTarget::Address(address) => (None, bound_to(*address, None)),
        };
        let failed = |source| Error::Socket { bind_target: bind_target.to_string(), source };
        let socket =
            socket.and_then(|socket| UdpSocket::from_std(socket.into())).map_err(failed)?;
        let mut link = Self {
            bind_target,
            socket,
            addresses: Vec::new(),
            can_send: false,
            is_without_subnet: false,
            has_several_subnets: false,
            index,
        };
        link.find_addresses();
        Ok(link)
    }

    fn bind_target(&self) -> &BindTarget {
        &self.bind_target
    }

    fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    fn is_stale(&self) -> bool {
        self.bind_target.interface().is_some_and(|name| index_of(name).ok() != self.index)
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddrV6, Option<Ipv6Addr>)> {
        let Datagram { len, from, to } =
            self.socket.try_io(Interest::READABLE, || Datagram::receive(&self.socket, buffer))?;
        let SocketAddr::V6(from) = from else { return Err(io::ErrorKind::InvalidData.into()) };
        let destination = match to {
            Some(IpAddr::V6(to)) => Some(to),
            Some(IpAddr::V4(_)) | None => None,
        };
        Ok((len, from, destination))
    }

    fn parse(bytes: &[u8]) -> Result<(Packet, Option<&'static str>), &'static str> {
        let packet = Packet::parse(bytes)?;
        let kind = packet.kind().map(Into::into);
        Ok((packet, kind))
    }

    fn send(
        &self,
        reply: &Reply,
        _: SocketAddrV6,
        own: Option<Ipv6Addr>,
    ) -> (SocketAddrV6, io::Result<()>) {
        (reply.to, self.send_from(&reply.packet.encode(), own, reply.to))
    }

    fn kind(reply: &Reply) -> &'static str {
        reply.kind.into()
    }
}

impl Link {
    /// Looks up our addresses again, as they may have changed.
    pub fn find_addresses(&mut self) {
        let all = match &self.bind_target {
            BindTarget::Interface(name) => addresses_of(name),
            BindTarget::Address(address) => vec![*address.ip()],
        };
        let (local, global): (Vec<_>, Vec<_>) =
            all.into_iter().partition(Ipv6Addr::is_unicast_link_local);
        self.can_send = self.index.is_none() || !local.is_empty();
        self.addresses = global;
    }

    /// Reports once if the link has no subnet from now on, or several.
    pub fn look_for_subnet(&mut self, config: &Config) {
        let Some(name) = self.bind_target.interface() else { return };
        let count = match config.subnet_on(name) {
            Some(_) => 1,
            None => config.subnets_of(&self.addresses).count(),
        };
        let is_without = count == 0 && !self.addresses.is_empty();
        if is_without && !self.is_without_subnet {
            let hint = "add the subnet of one of its addresses to dhcp6.subnets, or set the \
                        interface of a subnet, unless all clients there are behind relays";
            tracing::warn!(
                interface = name, addresses = ?self.addresses, hint,
                "no IPv6 subnet is configured for this interface: clients on it are not answered"
            );
        }
        if count > 1 && !self.has_several_subnets {
            let hint = "set the interface of the subnet that its clients are to be in";
            tracing::warn!(
                interface = name, addresses = ?self.addresses, hint,
                "several IPv6 subnets are configured for this interface: clients without a \
                 reservation are in the first"
            );
        }
        self.is_without_subnet = is_without;
        self.has_several_subnets = count > 1;
    }

    /// Sends a packet, from our address if that was the destination of the request.
    fn send_from(&self, data: &[u8], own: Option<Ipv6Addr>, to: SocketAddrV6) -> io::Result<()> {
        let Some(own) = own else {
            return self.socket.try_send_to(data, to.into()).map(drop);
        };
        let own = nix::libc::in6_addr { s6_addr: own.octets() };
        let info = nix::libc::in6_pktinfo { ipi6_addr: own, ipi6_ifindex: self.index.unwrap_or(0) };
        self.socket.try_io(Interest::WRITABLE, || {
            let (fd, none) = (self.socket.as_raw_fd(), MsgFlags::empty());
            let control = [ControlMessage::Ipv6PacketInfo(&info)];
            let to = SockaddrIn6::from(to);
            sendmsg(fd, &[IoSlice::new(data)], &control, none, Some(&to))?;
            Ok(())
        })
    }
}

fn on_interface(name: &str, index: u32) -> io::Result<Socket> {
    let everywhere = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, SERVER_PORT, 0, 0);
    let socket = bound_to(everywhere, Some(name))?;
    // RFC 9915, section 7.1.
    for group in [SERVERS, SITE_SERVERS] {
        socket.join_multicast_v6(&group, index)?;
    }
    Ok(socket)
}

fn bound_to(address: SocketAddrV6, interface: Option<&str>) -> io::Result<Socket> {
    let socket = socket(Domain::IPV6)?;
    socket.set_only_v6(true)?;
    setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    if let Some(name) = interface {
        socket.bind_device(Some(name.as_bytes()))?;
    }
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

fn addresses_of(name: &str) -> Vec<Ipv6Addr> {
    let all = getifaddrs().into_iter().flatten().filter(|it| it.interface_name == name);
    all.filter_map(|it| Some(it.address?.as_sockaddr_in6()?.ip())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_an_interface_that_it_serves_and_not_by_one_of_a_container() {
        let names = ["cali1", "eth0", "eth1"].map(str::to_owned);
        let chosen = |wanted: &[&String]| {
            let macs = names.iter().zip(0_u8..).map(|(name, last)| (name, [2, 0, 0, 0, 0, last]));
            let (is_other, mac) = first_of(wanted, macs).unwrap();
            (is_other, mac[5])
        };
        let gone = "gone".to_owned();
        assert_eq!(chosen(&[&names[2], &names[1]]), (false, 2));
        assert_eq!(chosen(&[&gone, &names[1]]), (false, 1));
        assert_eq!((chosen(&[]), chosen(&[&gone])), ((true, 0), (true, 0)));
        assert_eq!(first_of(&[&gone], std::iter::empty()), None);
    }
}
