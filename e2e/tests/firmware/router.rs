//! An IPv6 router on a link: it announces a prefix, which DHCPv6 does not do, or just its presence.

use anyhow::Result;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::{
    net::{Ipv6Addr, SocketAddrV6},
    time::Duration,
};
use tokio::{task::JoinSet, time::sleep};

/// RFC 4861, section 4.2.
const ADVERTISEMENT: u8 = 134;
const HOPS: u32 = 255;
const NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// Managed: addresses are available by DHCPv6, too.
const MANAGED: u8 = 0x80;
/// The prefix is on-link, and hosts may derive addresses from it.
const ON_LINK_AUTONOMOUS: u8 = 0xc0;
const EVERY: Duration = Duration::from_secs(1);

/// A router, which announces itself until this value is dropped.
#[derive(Debug)]
pub(crate) struct Router {
    _task: JoinSet<()>,
}

impl Router {
    /// Announces this /64 on the interface; if `None`, a router without a prefix.
    pub(crate) fn start(interface: &str, prefix: Option<Ipv6Addr>) -> Result<Self> {
        let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.set_multicast_hops_v6(HOPS)?;
        socket.set_nonblocking(true)?;
        let (packet, to) =
            (advertisement(prefix), SockAddr::from(SocketAddrV6::new(NODES, 0, 0, 0)));
        let mut task = JoinSet::new();
        task.spawn(async move {
            loop {
                // Fails until the interface has its link-local address.
                socket.send_to(&packet, &to).ok();
                sleep(EVERY).await;
            }
        });
        Ok(Self { _task: task })
    }
}

/// A router advertisement. The kernel fills in the checksum.
fn advertisement(prefix: Option<Ipv6Addr>) -> Vec<u8> {
    // Without a prefix it is not a default router either.
    let (hops, lifetime, flags) = prefix.map_or((64, 0_u16, 0), |_| (64, 1800, MANAGED));
    let mut packet = vec![ADVERTISEMENT, 0, 0, 0, hops, flags];
    packet.extend(lifetime.to_be_bytes());
    packet.extend([0; 8]);
    let Some(prefix) = prefix else { return packet };
    // Prefix information (section 4.6.2), four units of eight octets.
    packet.extend([3, 4, 64, ON_LINK_AUTONOMOUS]);
    packet.extend(86400_u32.to_be_bytes());
    packet.extend(14400_u32.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend(prefix.octets());
    packet
}
