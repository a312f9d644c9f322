//! Name servers that the routers of a link announce (RFC 8106), for networks that have IPv6 and no DHCPv6.

use super::{
    link::Link,
    resolvers::{Resolvers, Source},
};
use crate::netlink::{RouterOptions, Servers};
use metal_base::{Chain, jitter::within};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::{
    convert::Infallible,
    future, io,
    net::{IpAddr, Ipv6Addr, SocketAddrV6},
    time::Duration,
};
use tokio::time::{Instant, sleep, sleep_until};

/// All routers of a link (RFC 4291, section 2.7.1).
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// Type, code, checksum, reserved (RFC 4861, section 4.1). The kernel adds the checksum.
const SOLICITATION: [u8; 8] = [133, 0, 0, 0, 0, 0, 0, 0];
/// Others have been forwarded, and are ignored (RFC 4861, section 6.1.1).
const HOPS: u32 = 255;
/// How often routers are asked, and the time between (RFC 4861, section 10).
const ASK: u32 = 3;
const INTERVAL: Duration = Duration::from_secs(4);
/// Each delay varies by up to this fraction of it.
const SPREAD: u32 = 4;
/// Most servers of a link; more than are used.
const MOST: usize = 8;

/// Passes on what the routers of this link announce, as long as it counts. Cancel safe: the name servers are
/// removed.
pub(super) async fn listen(link: &Link, resolvers: &Resolvers) -> Infallible {
    match hear(link, resolvers).await {
        Ok(never) => match never {},
        Err(error) => {
            let error = Chain(&error).to_string();
            tracing::warn!(link = link.name, error, "name servers of routers are not heard");
            future::pending().await
        }
    }
}

async fn hear(link: &Link, resolvers: &Resolvers) -> io::Result<Infallible> {
    let (heard, resolvers) = (RouterOptions::open()?, resolvers.of(link, Source::Router));
    let (mut known, mut asking) = (Known::default(), Box::pin(ask(link)));
    let mut has_asked = false;
    loop {
        let end = known.end();
        tokio::select! {
            told = heard.next() => {
                let told = told?.into_iter().filter(|servers| servers.index == link.index);
                told.for_each(|servers| known.take(&servers, Instant::now()));
            }
            () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => {}
            () = &mut asking, if !has_asked => has_asked = true,
        }
        resolvers.set(known.present(Instant::now()));
    }
}

/// Asks the routers to announce themselves: the kernel did so once the link was up, and the answer may
/// have come before we listened.
async fn ask(link: &Link) {
    for _ in 0..ASK {
        if let Err(error) = solicit(link) {
            // A link has no address during its first second or two.
            tracing::debug!(link = link.name, error = %Chain(&error), "routers could not be asked");
        }
        sleep(within(INTERVAL, SPREAD)).await;
    }
}

fn solicit(link: &Link) -> io::Result<()> {
    let kind = Type::RAW.nonblocking().cloexec();
    let socket = Socket::new(Domain::IPV6, kind, Some(Protocol::ICMPV6))?;
    socket.bind_device(Some(link.name.as_bytes()))?;
    socket.set_multicast_hops_v6(HOPS)?;
    let routers = SockAddr::from(SocketAddrV6::new(ALL_ROUTERS, 0, 0, link.index));
    socket.send_to(&SOLICITATION, &routers).map(drop)
}

/// Servers, and when they no longer count.
#[derive(Debug, Default)]
struct Known(Vec<(Ipv6Addr, Instant)>);

impl Known {
    fn take(&mut self, servers: &Servers, now: Instant) {
        self.0.retain(|(_, end)| *end > now);
        for ip in &servers.addresses {
            let end = now + servers.lifetime;
            if let Some((_, known)) = self.0.iter_mut().find(|(known, _)| known == ip) {
                *known = end;
            } else if self.0.len() < MOST {
                self.0.push((*ip, end));
            }
        }
    }

    /// When the next one no longer counts.
    fn end(&self) -> Option<Instant> {
        self.0.iter().map(|(_, end)| *end).min()
    }

    /// Those that count, in the order in which they were announced.
    fn present(&mut self, now: Instant) -> Vec<IpAddr> {
        self.0.retain(|(_, end)| *end > now);
        self.0.iter().map(|(ip, _)| IpAddr::V6(*ip)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::wire::{Wire, alone};
    use std::fs;
    use tokio::select;

    #[test]
    fn a_machine_without_dhcp_has_the_name_servers_that_its_router_announces() {
        alone(async || {
            let (wire, folder) = (Wire::new("port0"), tempfile::tempdir().unwrap());
            let file = folder.path().join("resolv.conf");
            let resolvers = Resolvers::at(file.clone());
            let told = || fs::read_to_string(&file).unwrap_or_default();
            let routing = async {
                let servers = "nameserver fd77::3\nnameserver fe80::9%port0\n";
                advertise(&wire, 600, || told().starts_with(servers)).await;
                advertise(&wire, 0, || told().is_empty()).await;
            };
            select! {
                never = listen(&wire.link, &resolvers) => match never {},
                () = routing => {}
            }
        });
    }

    #[test]
    fn a_server_counts_for_its_lifetime_or_until_it_is_taken_back() {
        let (mut known, now) = (Known::default(), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        known.take(&servers(&["fd77::1", "fd77::2"], 10), now);
        known.take(&servers(&["fd77::2"], 20), now);
        assert_eq!(known.end(), Some(after(10)));
        assert_eq!(known.present(after(10)), ["fd77::2".parse::<IpAddr>().unwrap()]);
        known.take(&servers(&["fd77::2"], 0), after(11));
        assert_eq!(known.present(after(11)), Vec::<IpAddr>::new());
        assert_eq!(known.end(), None);
        known.take(&servers(&["fd77::3"], u32::MAX.into()), now);
        for last in 0..100 {
            known.take(&servers(&[&*format!("fd78::{last}")], 10), now);
        }
        assert_eq!(known.present(now).len(), MOST, "a flood ends");
    }

    fn servers(ips: &[&str], lifetime: u64) -> Servers {
        let addresses = ips.iter().map(|ip| ip.parse().unwrap()).collect();
        Servers { index: 1, lifetime: Duration::from_secs(lifetime), addresses }
    }

    /// Announces, as a router at the far end (RFC 4861, section 4.2), no default router but two name servers,
    /// again and again, until this is so.
    async fn advertise(wire: &Wire, lifetime: u32, is_so: impl Fn() -> bool) {
        let kind = Type::RAW.nonblocking();
        let socket = Socket::new(Domain::IPV6, kind, Some(Protocol::ICMPV6)).unwrap();
        socket.bind_device(Some(wire.far.as_bytes())).unwrap();
        socket.set_multicast_hops_v6(HOPS).unwrap();
        let index = nix::net::if_::if_nametoindex(&*wire.far).unwrap();
        let nodes = SocketAddrV6::new("ff02::1".parse().unwrap(), 0, 0, index);
        let servers = ["fd77::3", "fe80::9"].map(|ip| ip.parse::<Ipv6Addr>().unwrap().octets());
        let head = [134, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 5, 0, 0];
        let packet = [&head[..], &lifetime.to_be_bytes(), servers.as_flattened()].concat();
        while !is_so() {
            // Neither end has an address at once.
            socket.send_to(&packet, &nodes.into()).ok();
            sleep(Duration::from_millis(20)).await;
        }
    }
}
