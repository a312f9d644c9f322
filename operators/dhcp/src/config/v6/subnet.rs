//! Reads the IPv6 subnets of a configuration. Every fault names its line and field.

use super::{Mode, Subnet};
use crate::config::{
    field::{ConfigError, distinct, fail, interface, line_of, scalar},
    raw::v6 as raw,
    subnet::{LEASE_TIME, lease_time_in, name},
};
use ipnet::Ipv6Net;
use metal_api::MacAddr;
use metal_text::located::Text;
use std::{collections::HashMap, net::Ipv6Addr, ops::RangeInclusive};

/// A pool takes one bit of memory per address.
const MAX_RANGE: u128 = 1 << 24;
const SUBNET: &str = "dhcp6.subnets.subnet";
const RANGES: &str = "dhcp6.subnets.ranges";

pub(super) fn parse_all(list: &[raw::Subnet]) -> Result<Vec<Subnet>, ConfigError> {
    let mut subnets: Vec<Subnet> = Vec::with_capacity(list.len());
    for raw in list {
        let subnet = parse(raw)?;
        for (other, before) in list.iter().zip(&subnets) {
            let line = line_of(&other.net);
            let refused = |field, problem| Err(fail(&raw.net, field, problem));
            if before.net.contains(&subnet.net) || subnet.net.contains(&before.net) {
                let problem = format!("overlaps {} in line {line}; keep one of them", before.net);
                return refused(SUBNET, problem);
            }
            if let Some(relay) = subnet.relays.iter().find(|it| before.relays.contains(it)) {
                let problem =
                    format!("{relay} is already a relay of {} in line {line}", before.net);
                return refused("dhcp6.subnets.relays", problem);
            }
            if let Some(name) =
                subnet.interface.as_ref().filter(|_| subnet.interface == before.interface)
            {
                let problem = format!("{name} is already used by {} in line {line}", before.net);
                return refused("dhcp6.subnets.interface", problem);
            }
        }
        subnets.push(subnet);
    }
    Ok(subnets)
}

fn parse(raw: &raw::Subnet) -> Result<Subnet, ConfigError> {
    let net = network(&raw.net)?;
    let (reservations, reserved) = reservations(net, &raw.reservations)?;
    let addresses = |list: &[Text], field| distinct(list, field, |text| address(text, field));
    let on = raw.interface.as_ref().map(|text| interface(text, "dhcp6.subnets.interface"));
    Ok(Subnet {
        net,
        mode: mode(raw)?,
        bmc: raw.bmc.as_ref().is_some_and(|bmc| bmc.value),
        interface: on.transpose()?,
        relays: addresses(&raw.relays, "dhcp6.subnets.relays")?,
        ranges: ranges(net, &raw.ranges)?,
        dns: addresses(&raw.dns, "dhcp6.subnets.dns")?,
        ntp: addresses(&raw.ntp, "dhcp6.subnets.ntp")?,
        search: distinct(&raw.search, "dhcp6.subnets.search", |text| {
            name(text, "dhcp6.subnets.search")
        })?,
        lease_time: raw
            .lease_time
            .as_ref()
            .map_or(Ok(LEASE_TIME), |text| lease_time_in(text, "dhcp6.subnets.leaseTime"))?,
        reservations,
        reserved,
    })
}

/// Rejects addresses in a stateless subnet, which assigns none.
fn mode(raw: &raw::Subnet) -> Result<Mode, ConfigError> {
    const FIELD: &str = "dhcp6.subnets.mode";
    let Some(text) = &raw.mode else { return Ok(Mode::default()) };
    let mode = scalar(text, FIELD, "`stateful` or `stateless`", "stateless")?;
    let range = raw.ranges.first();
    let addresses = range.or_else(|| raw.reservations.first().map(|reservation| &reservation.ip));
    match addresses.filter(|_| mode == Mode::Stateless) {
        None => Ok(mode),
        Some(text) => {
            let problem = "a stateless subnet does not assign addresses; remove ranges and \
                           reservations, or mode";
            Err(fail(text, FIELD, problem))
        }
    }
}

fn network(text: &Text) -> Result<Ipv6Net, ConfigError> {
    let net: Ipv6Net = scalar(text, SUBNET, "an IPv6 subnet", "fd77::/64")?;
    if net.trunc() != net {
        let problem = format!("`{net}` has host bits set; use `{}`", net.trunc());
        return Err(fail(text, SUBNET, problem));
    }
    let is_usable = !net.network().is_multicast() && !net.network().is_unicast_link_local();
    if !(8..=126).contains(&net.prefix_len()) || !is_usable {
        let problem = format!(
            "`{net}` is not a subnet for hosts; use a prefix length from /8 to /126, for example \
             `fd77::/64`"
        );
        return Err(fail(text, SUBNET, problem));
    }
    Ok(net)
}

fn address(text: &Text, field: &'static str) -> Result<Ipv6Addr, ConfigError> {
    scalar(text, field, "an IPv6 address", "fd77::1")
}

/// Whether a host can have an address. The first address of a subnet means all of its routers (RFC
/// 4291, section 2.6.1).
fn is_host(net: Ipv6Net, address: Ipv6Addr) -> bool {
    net.contains(&address) && address != net.network()
}

fn ranges(net: Ipv6Net, list: &[Text]) -> Result<Vec<RangeInclusive<Ipv6Addr>>, ConfigError> {
    let mut ranges: Vec<RangeInclusive<Ipv6Addr>> = Vec::with_capacity(list.len());
    for text in list {
        let range = range(text).filter(|r| is_host(net, *r.start()) && is_host(net, *r.end()));
        let Some(range) = range else {
            let first = Ipv6Addr::from_bits(net.network().to_bits() + 1);
            let problem = format!(
                "`{}` is not a range in {net}; use, for example, `{first}-{}`",
                text.value,
                Ipv6Addr::from_bits(first.to_bits() + 1)
            );
            return Err(fail(text, RANGES, problem));
        };
        if range.end().to_bits() - range.start().to_bits() >= MAX_RANGE {
            let problem = format!(
                "`{}` has more than {MAX_RANGE} addresses; use a smaller range",
                text.value
            );
            return Err(fail(text, RANGES, problem));
        }
        let overlaps = |other: &&RangeInclusive<Ipv6Addr>| {
            range.start() <= other.end() && other.start() <= range.end()
        };
        if let Some(other) = ranges.iter().find(overlaps) {
            let problem = format!("overlaps {}-{}; merge them", other.start(), other.end());
            return Err(fail(text, RANGES, problem));
        }
        ranges.push(range);
    }
    Ok(ranges)
}

fn range(text: &Text) -> Option<RangeInclusive<Ipv6Addr>> {
    let (first, last) = text.value.split_once('-')?;
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some(first..=last)
}

type Reservations = (HashMap<MacAddr, Ipv6Addr>, HashMap<Ipv6Addr, MacAddr>);

fn reservations(net: Ipv6Net, list: &[raw::Reservation]) -> Result<Reservations, ConfigError> {
    const MAC: &str = "dhcp6.subnets.reservations.mac";
    const IP: &str = "dhcp6.subnets.reservations.ip";
    let (mut by_mac, mut by_ip) = (HashMap::new(), HashMap::new());
    for raw in list {
        let mac: MacAddr = scalar(&raw.mac, MAC, "a MAC address", "aa:bb:cc:00:00:01")?;
        let ip = address(&raw.ip, IP)?;
        if !is_host(net, ip) {
            return Err(fail(&raw.ip, IP, format!("{ip} is not a host address in {net}")));
        }
        if by_mac.insert(mac, ip).is_some() {
            let problem = format!("{mac} is listed twice; remove one of the two");
            return Err(fail(&raw.mac, MAC, problem));
        }
        if by_ip.insert(ip, mac).is_some() {
            let problem = format!("{ip} is listed twice; remove one of the two");
            return Err(fail(&raw.ip, IP, problem));
        }
    }
    Ok((by_mac, by_ip))
}
