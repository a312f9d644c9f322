//! Reads the IPv4 subnets of a configuration. Every fault names its line and field.

use super::{
    Mode, Reservation, Subnet,
    field::{ConfigError, address, distinct, fail, line_of, scalar},
    raw, route,
};
use crate::lease::MAX_LEASE_TIME;
use ipnet::Ipv4Net;
use jiff::SignedDuration;
use metal_api::MacAddr;
use std::{collections::HashMap, net::Ipv4Addr, ops::RangeInclusive};

pub(super) const LEASE_TIME: SignedDuration = SignedDuration::from_hours(1);
/// Shorter leases would keep clients busy renewing.
const MIN_LEASE_TIME: SignedDuration = SignedDuration::from_secs(60);
/// The longest prefix with room for a server and a client.
const MAX_PREFIX: u8 = 30;
/// The shortest prefix: a pool takes one bit of memory per address.
const MIN_PREFIX: u8 = 8;

pub(super) fn parse_all(list: &[raw::Subnet]) -> Result<Vec<Subnet>, ConfigError> {
    let mut subnets: Vec<Subnet> = Vec::with_capacity(list.len());
    for raw in list {
        let subnet = parse(raw)?;
        for (other, before) in list.iter().zip(&subnets) {
            let overlaps = overlap(before.net, subnet.net);
            let relay = subnet.relays.iter().find(|relay| before.relays.contains(relay));
            let line = line_of(&other.net);
            if overlaps {
                let problem = format!("overlaps {} in line {line}; keep one of them", before.net);
                return Err(fail(&raw.net, "subnets.subnet", problem));
            }
            if let Some(relay) = relay {
                let problem =
                    format!("{relay} is already a relay of {} in line {line}", before.net);
                return Err(fail(&raw.net, "subnets.relays", problem));
            }
        }
        subnets.push(subnet);
    }
    Ok(subnets)
}

fn overlap(a: Ipv4Net, b: Ipv4Net) -> bool {
    a.contains(&b) || b.contains(&a)
}

fn parse(raw: &raw::Subnet) -> Result<Subnet, ConfigError> {
    let net = network(&raw.net)?;
    let inside = |text: &raw::Text, field| host_in(net, text, field);
    let (reservations, reserved) = reservations(net, &raw.reservations)?;
    Ok(Subnet {
        net,
        mode: mode(raw)?,
        bmc: bmc(raw)?,
        relays: distinct(&raw.relays, "subnets.relays", |t| address(t, "subnets.relays"))?,
        ranges: ranges(net, &raw.ranges)?,
        router: raw.router.as_ref().map(|t| inside(t, "subnets.router")).transpose()?,
        dns: distinct(&raw.dns, "subnets.dns", |t| address(t, "subnets.dns"))?,
        ntp: distinct(&raw.ntp, "subnets.ntp", |t| address(t, "subnets.ntp"))?,
        domain: raw.domain.as_ref().map(|t| name(t, "subnets.domain")).transpose()?,
        mtu: raw.mtu.as_ref().map(mtu).transpose()?,
        routes: route::routes(&raw.routes)?,
        lease_time: raw.lease_time.as_ref().map_or(Ok(LEASE_TIME), lease_time)?,
        reservations,
        reserved,
    })
}

/// Rejects addresses in a subnet with a proxy, which assigns none. What else it does not use is
/// [unused](super::unused).
fn mode(raw: &raw::Subnet) -> Result<Mode, ConfigError> {
    let Some(text) = &raw.mode else { return Ok(Mode::default()) };
    let mode = scalar(text, "subnets.mode", "`leases` or `proxy`", "proxy")?;
    let reservation = raw.reservations.first().map(|reservation| &reservation.ip);
    match raw.ranges.first().or(reservation).filter(|_| mode == Mode::Proxy) {
        None => Ok(mode),
        Some(text) => {
            let problem =
                "a proxy does not assign addresses; remove ranges and reservations, or mode";
            Err(fail(text, "subnets.mode", problem))
        }
    }
}

/// A subnet has BMCs only if addresses are assigned here: a proxy does not know where a BMC is.
fn bmc(raw: &raw::Subnet) -> Result<bool, ConfigError> {
    let Some(bmc) = &raw.bmc else { return Ok(false) };
    if bmc.value && mode(raw)? == Mode::Proxy {
        let problem =
            "a proxy does not assign addresses, so it cannot record BMCs; remove bmc, or mode";
        return Err(fail(bmc, "subnets.bmc", problem));
    }
    Ok(bmc.value)
}

fn network(text: &raw::Text) -> Result<Ipv4Net, ConfigError> {
    const FIELD: &str = "subnets.subnet";
    let net: Ipv4Net = scalar(text, FIELD, "a subnet", "10.0.0.0/24")?;
    if net.trunc() != net {
        let problem = format!("`{net}` has host bits set; use `{}`", net.trunc());
        return Err(fail(text, FIELD, problem));
    }
    if !(MIN_PREFIX..=MAX_PREFIX).contains(&net.prefix_len()) {
        let problem = format!("use a prefix length from {MIN_PREFIX} to {MAX_PREFIX}");
        return Err(fail(text, FIELD, problem));
    }
    Ok(net)
}

/// An address in the subnet that a host can have.
fn host_in(net: Ipv4Net, text: &raw::Text, field: &'static str) -> Result<Ipv4Addr, ConfigError> {
    let host = address(text, field)?;
    if is_host(net, host) {
        return Ok(host);
    }
    let (first, last) = hosts(net);
    let problem = format!("{host} is not a host address in {net}; use one from {first} to {last}");
    Err(fail(text, field, problem))
}

fn is_host(net: Ipv4Net, address: Ipv4Addr) -> bool {
    net.contains(&address) && address != net.network() && address != net.broadcast()
}

fn hosts(net: Ipv4Net) -> (Ipv4Addr, Ipv4Addr) {
    let (network, broadcast) = (net.network().to_bits(), net.broadcast().to_bits());
    (Ipv4Addr::from_bits(network + 1), Ipv4Addr::from_bits(broadcast - 1))
}

fn ranges(net: Ipv4Net, list: &[raw::Text]) -> Result<Vec<RangeInclusive<Ipv4Addr>>, ConfigError> {
    const FIELD: &str = "subnets.ranges";
    let mut ranges: Vec<RangeInclusive<Ipv4Addr>> = Vec::with_capacity(list.len());
    for text in list {
        let range = range(text).filter(|r| is_host(net, *r.start()) && is_host(net, *r.end()));
        let Some(range) = range else {
            let (low, high) = hosts(net);
            let problem = format!(
                "`{}` is not a range in {net}; use, for example, `{low}-{high}`",
                text.value
            );
            return Err(fail(text, FIELD, problem));
        };
        let overlap = |other: &&RangeInclusive<Ipv4Addr>| {
            range.start() <= other.end() && other.start() <= range.end()
        };
        if let Some(other) = ranges.iter().find(overlap) {
            let problem = format!("overlaps {}-{}; merge them", other.start(), other.end());
            return Err(fail(text, FIELD, problem));
        }
        ranges.push(range);
    }
    Ok(ranges)
}

fn range(text: &raw::Text) -> Option<RangeInclusive<Ipv4Addr>> {
    let (first, last) = text.value.split_once('-')?;
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some(first..=last)
}

type Reservations = (HashMap<MacAddr, Reservation>, HashMap<Ipv4Addr, MacAddr>);

fn reservations(net: Ipv4Net, list: &[raw::Reservation]) -> Result<Reservations, ConfigError> {
    const MAC: &str = "subnets.reservations.mac";
    const IP: &str = "subnets.reservations.ip";
    let (mut by_mac, mut by_ip) = (HashMap::new(), HashMap::new());
    let (mut mac_lines, mut ip_lines) = (HashMap::new(), HashMap::new());
    for raw in list {
        let mac: MacAddr = scalar(&raw.mac, MAC, "a MAC address", "aa:bb:cc:00:00:01")?;
        let ip = host_in(net, &raw.ip, IP)?;
        let twice = |line| format!("is already in line {line}; remove one of the two");
        if let Some(line) = mac_lines.insert(mac, line_of(&raw.mac)) {
            return Err(fail(&raw.mac, MAC, format!("{mac} {}", twice(line))));
        }
        if let Some(line) = ip_lines.insert(ip, line_of(&raw.ip)) {
            return Err(fail(&raw.ip, IP, format!("{ip} {}", twice(line))));
        }
        let hostname = raw.hostname.as_ref();
        let hostname = hostname.map(|t| name(t, "subnets.reservations.hostname")).transpose()?;
        by_mac.insert(mac, Reservation { ip, hostname });
        by_ip.insert(ip, mac);
    }
    Ok((by_mac, by_ip))
}

/// A DNS name of letters, digits and hyphens.
pub(super) fn name(text: &raw::Text, field: &'static str) -> Result<String, ConfigError> {
    let is_label = |label: &str| {
        let inner = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        inner && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    if text.value.len() <= 253 && text.value.split('.').all(is_label) {
        return Ok(text.value.clone());
    }
    let problem =
        format!("`{}` is not a host name; use, for example, `rack1-u1.example.org`", text.value);
    Err(fail(text, field, problem))
}

fn mtu(value: &raw::Located<i64>) -> Result<u16, ConfigError> {
    // RFC 2132, section 5.1: at least 68.
    let mtu = u16::try_from(value.value).ok().filter(|&mtu| mtu >= 68);
    let problem = || format!("`{}` is not an MTU; use a number from 68 to 65535", value.value);
    mtu.ok_or_else(|| fail(value, "subnets.mtu", problem()))
}

fn lease_time(text: &raw::Text) -> Result<SignedDuration, ConfigError> {
    lease_time_in(text, "subnets.leaseTime")
}

/// Seconds, or a duration such as `12h` or `1h30m`.
pub(super) fn lease_time_in(
    text: &raw::Text,
    field: &'static str,
) -> Result<SignedDuration, ConfigError> {
    let seconds = || text.value.parse().ok().map(SignedDuration::from_secs);
    let time = text.value.parse().ok().or_else(seconds);
    let fits = time.filter(|time| (MIN_LEASE_TIME..=MAX_LEASE_TIME).contains(time));
    let problem =
        || format!("`{}` is not a lease time; use `1m` to `8784h`, for example `12h`", text.value);
    fits.ok_or_else(|| fail(text, field, problem()))
}
