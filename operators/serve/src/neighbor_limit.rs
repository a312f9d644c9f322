//! The addresses that answers may be sent to, shared by all servers of the process.

use metal_base::Locked;
use metal_dhcp::{
    neighbor_limit,
    v4::{MessageType, Reply},
};
use nix::{ifaddrs::getifaddrs, sys::socket::SockaddrStorage};
use std::{
    collections::HashSet,
    fs,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// The kernel's ARP table as text: address, type, flags, and fields that do not matter here.
const ARP: &str = "/proc/net/arp";
/// The flag of an entry that has a hardware address.
const COMPLETE: u32 = 2;
/// How old copies of the kernel's tables may be. A client resolves our hardware address, by which
/// the kernel learns the client's, right before it asks us for anything.
const ARP_AGE: Duration = Duration::from_millis(10);
const LINKS_AGE: Duration = Duration::from_secs(1);

/// Cheap to clone; clones share their state.
#[derive(Clone, Debug)]
pub struct NeighborLimit(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    neighbors: neighbor_limit::NeighborLimit,
    links: Snapshot<Vec<Link>>,
    arp: Snapshot<HashSet<Ipv4Addr>>,
}

/// What the kernel knew at some time.
#[derive(Debug, Default)]
struct Snapshot<T> {
    at: Option<Instant>,
    value: T,
}

/// The addresses of a link: those with these bits where the mask has ones.
#[derive(Clone, Copy, Debug)]
struct Link {
    is_v6: bool,
    bits: u128,
    mask: u128,
}

impl Default for NeighborLimit {
    fn default() -> Self {
        let neighbors = neighbor_limit::NeighborLimit::new(Instant::now());
        let state = State { neighbors, links: Snapshot::default(), arp: Snapshot::default() };
        Self(Arc::new(Mutex::new(state)))
    }
}

impl NeighborLimit {
    /// Records that somebody certainly has this address.
    pub fn note(&self, address: impl Into<IpAddr>) {
        self.locked().neighbors.note(address.into().to_canonical());
    }

    /// Whether somebody is known to have this address.
    pub fn knows(&self, address: IpAddr) -> bool {
        self.locked().neighbors.knows(address.to_canonical())
    }

    /// Whether an answer may be sent to this address now. It always may if the kernel need not
    /// resolve it: behind a router, or if it is in the table already.
    pub fn admits(&self, address: impl Into<IpAddr>) -> bool {
        let (address, now) = (address.into().to_canonical(), Instant::now());
        let State { neighbors, links, arp } = &mut *self.locked();
        let links = links.no_older_than(LINKS_AGE, now, links_now);
        if !links.iter().any(|link| link.has(address)) || neighbors.admits(address, now) {
            return true;
        }
        match address {
            IpAddr::V4(address) => arp.no_older_than(ARP_AGE, now, arp_now).contains(&address),
            IpAddr::V6(_) => false,
        }
    }

    /// Whether an answer may be sent now: the kernel need not resolve its address, or has room to
    /// do so.
    pub fn admits_reply(&self, reply: &Reply, is_relay: impl Fn(Ipv4Addr) -> bool) -> bool {
        let to = *reply.to.ip();
        reply.direct.is_some() || to.is_broadcast() || is_relay(to) || self.admits(to)
    }

    /// Who has an address from now on by this answer, and the relay that it came by.
    pub fn note_reply(&self, reply: &Reply) {
        let is_ack = reply.kind == MessageType::Ack && !reply.packet.yiaddr.is_unspecified();
        let addresses = [reply.packet.yiaddr, *reply.to.ip()].into_iter().filter(|_| is_ack);
        addresses.filter(|it| !it.is_broadcast()).for_each(|address| self.note(address));
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.0.locked()
    }
}

impl<T> Snapshot<T> {
    fn no_older_than(&mut self, age: Duration, now: Instant, read: impl FnOnce() -> T) -> &T {
        if self.at.is_none_or(|at| now.saturating_duration_since(at) >= age) {
            *self = Self { at: Some(now), value: read() };
        }
        &self.value
    }
}

impl Link {
    /// The link of an address with this mask.
    fn of(address: IpAddr, mask: IpAddr) -> Self {
        let mask = bits(mask);
        Self { is_v6: address.is_ipv6(), bits: bits(address) & mask, mask }
    }

    fn has(&self, address: IpAddr) -> bool {
        address.is_ipv6() == self.is_v6 && bits(address) & self.mask == self.bits
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The links of this node.
fn links_now() -> Vec<Link> {
    let all = getifaddrs().into_iter().flatten();
    let links = all.filter_map(|it| Some(Link::of(address(&it.address?)?, address(&it.netmask?)?)));
    links.collect()
}

fn address(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|it| IpAddr::V4(it.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|it| IpAddr::V6(it.ip())))
}

/// The addresses whose hardware addresses the kernel knows.
fn arp_now() -> HashSet<Ipv4Addr> {
    complete(&fs::read_to_string(ARP).unwrap_or_default()).collect()
}

fn complete(table: &str) -> impl Iterator<Item = Ipv4Addr> {
    table.lines().skip(1).filter_map(|line| {
        let mut words = line.split_whitespace();
        let (address, flags) = (words.next()?, words.nth(1)?);
        let flags = u32::from_str_radix(flags.strip_prefix("0x")?, 16).ok()?;
        (flags & COMPLETE != 0).then(|| address.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_the_kernel_knows_is_answered_and_whoever_it_looks_for_is_not() {
        let table = "\
IP address       HW type     Flags       HW address            Mask     Device
10.77.0.9        0x1         0x2         02:00:00:00:00:09     *        eth0
10.77.0.10       0x1         0x0         00:00:00:00:00:00     *        eth0
10.77.0.11       0x1         0x6         02:00:00:00:00:0b     *        eth1
";
        let known: Vec<_> = complete(table).collect();
        assert_eq!(known, [Ipv4Addr::new(10, 77, 0, 9), Ipv4Addr::new(10, 77, 0, 11)]);
    }

    #[test]
    fn a_link_has_the_addresses_of_its_network_and_of_its_kind() {
        let link = Link::of([10, 77, 1, 2].into(), [255, 255, 0, 0].into());
        let has = [[10, 77, 9, 9], [10, 78, 0, 1]].map(|address| link.has(address.into()));
        assert_eq!(has, [true, false]);
        let v6 = |text: &str| IpAddr::V6(text.parse().unwrap());
        let link = Link::of(v6("fd00:77::1"), v6("ffff:ffff:ffff:ffff::"));
        assert!(link.has(v6("fd00:77::9")) && !link.has(v6("fd00:78::9")));
        assert!(!link.has([0, 0, 0, 0].into()));
        assert!(links_now().iter().any(|link| link.has([127, 0, 0, 1].into())));
    }

    #[test]
    fn who_is_behind_a_router_costs_nothing_and_is_answered_beside_any_flood() {
        let neighbors = NeighborLimit::default();
        for number in 0..10_000_u32 {
            let [.., third, fourth] = number.to_be_bytes();
            // A network for benchmarks, which is nobody's link.
            let address = [198, 18, third, fourth];
            assert!(neighbors.admits(address), "{address:?}");
        }
    }
}
