//! The section `dhcp6`: the DHCPv6 server.
//!
//! ```yaml
//! dhcp6:
//!   interfaces: [eth1]             # answer clients on these links, and relays
//!   listen: ["fd00::2"]            # answer relays at these addresses; `[fd00::2]:port`, too
//!   relays: ["fd99::2"]            # relays that send from here speak for any subnet
//!   duid: "000300015254000a0001"   # what we call ourselves; made of a MAC address, if left out
//!   rapidCommit: false             # give addresses by two messages to who asks for that
//!   subnets:
//!     - subnet: fd77::/64
//!       bmc: true                  # BMCs are here; nowhere else is a BMC recorded
//!       mode: stateful             # or `stateless`: everything but addresses
//!       interface: eth1            # its link; left out: that with an address of the subnet
//!       relays: ["fd99::1"]        # link addresses of relays outside of it that speak for it
//!       ranges: ["fd77::1000-fd77::1fff"]
//!       dns: ["fd77::3"]
//!       ntp: ["fd77::3"]
//!       search: [oob.example.org]
//!       leaseTime: 1h
//!       reservations:
//!         - { mac: "aa:bb:cc:00:00:01", ip: "fd77::10" }
//!   boot:
//!     uefi: tftp://[fd77::2]/snponly.efi
//!     arm64: tftp://[fd77::2]/snponly-arm64.efi
//!     http: http://[fd77::2]:8082/httpboot/uki.efi
//!     httpArm64: http://[fd77::2]:8082/httpboot/uki-arm64.efi
//!     ipxe: http://[fd77::2]:8082/ipxe/${uuid}
//!     parameters: []               # for the boot file
//! ```

mod subnet;
#[cfg(test)]
mod tests;

use super::{
    field::{ConfigError, distinct, fail, interface, scalar},
    raw::v6 as raw,
};
use crate::{client::Client, lease::claim::LeaseSubnet, port::DHCPV6_SERVER, sharding::Instances};
use ipnet::Ipv6Net;
use jiff::SignedDuration;
use metal_api::MacAddr;
use metal_text::located::Text;
use std::{
    collections::HashMap,
    net::{Ipv6Addr, SocketAddrV6},
    ops::RangeInclusive,
};

/// Longest URL that firmware accepts.
const MAX_URL: usize = 1024;
const MAX_PARAMETER: usize = 1024;
/// RFC 9915, section 11.1: a type of two octets, and 1 to 128 more.
const DUID_LEN: RangeInclusive<usize> = 3..=130;

/// The configuration of a DHCPv6 server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Interfaces whose links are served.
    pub interfaces: Vec<String>,
    /// Addresses at which relays are served.
    pub listen: Vec<SocketAddrV6>,
    /// Source addresses of relays that speak for any subnet.
    pub relays: Vec<Ipv6Addr>,
    /// DUID of the server; `None` to make one from a MAC address.
    pub duid: Option<Vec<u8>>,
    /// Clients that ask for it get an address with two messages instead of four.
    pub rapid_commit: bool,
    /// The other instance, if there is one.
    pub instances: Option<Instances>,
    /// The subnets; they do not overlap.
    pub subnets: Vec<Subnet>,
    /// What machines boot.
    pub boot: BootUrls,
}

/// One subnet, and the settings of its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// The subnet.
    pub net: Ipv6Net,
    /// What its clients get.
    pub mode: Mode,
    /// Whether it has BMCs.
    pub bmc: bool,
    /// The interface of its link, if that is not determined by our addresses.
    pub interface: Option<String>,
    /// Relays outside of it that act for it, by link address or by source address.
    pub relays: Vec<Ipv6Addr>,
    /// Addresses for any client. They do not overlap.
    pub ranges: Vec<RangeInclusive<Ipv6Addr>>,
    /// DNS servers.
    pub dns: Vec<Ipv6Addr>,
    /// NTP servers.
    pub ntp: Vec<Ipv6Addr>,
    /// Domains to search.
    pub search: Vec<String>,
    /// How long a lease lasts.
    pub lease_time: SignedDuration,
    /// Reserved addresses by client.
    pub reservations: HashMap<MacAddr, Ipv6Addr>,
    /// The same, by address.
    pub reserved: HashMap<Ipv6Addr, MacAddr>,
}

/// What the clients of a subnet get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum Mode {
    /// Addresses and all other settings.
    #[default]
    Stateful,
    /// Only the other settings; clients make their addresses themselves.
    Stateless,
}

/// Boot files by kind of client. Where one is `None`, such clients get none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootUrls {
    /// For PXE with x86-64 UEFI.
    pub uefi: Option<String>,
    /// For PXE with 64-bit ARM UEFI.
    pub arm64: Option<String>,
    /// For x86-64 UEFI HTTP boot.
    pub http: Option<String>,
    /// For 64-bit ARM UEFI HTTP boot.
    pub http_arm64: Option<String>,
    /// iPXE for x86-64 UEFI HTTP boot, which runs the boot URL of a machine.
    pub uefi_http: Option<String>,
    /// The same for 64-bit ARM UEFI.
    pub arm64_http: Option<String>,
    /// The script for iPXE, which expands settings such as `${uuid}` in it.
    pub ipxe: Option<String>,
    /// Parameters of the boot file.
    pub parameters: Vec<String>,
}

impl Config {
    /// The subnet that contains an address.
    pub fn subnet_of(&self, address: Ipv6Addr) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| subnet.net.contains(&address))
    }

    /// The subnets of these addresses, in the order of the configuration.
    pub fn subnets_of<'a>(&'a self, link: &[Ipv6Addr]) -> impl Iterator<Item = &'a Subnet> {
        let is_here = |subnet: &&Subnet| link.iter().any(|own| subnet.net.contains(own));
        self.subnets.iter().filter(is_here)
    }

    /// Whether the configuration names a relay with this address.
    pub fn names_relay(&self, address: Ipv6Addr) -> bool {
        let of_subnets = self.subnets.iter().flat_map(|subnet| &subnet.relays);
        self.relays.iter().chain(of_subnets).any(|relay| *relay == address)
    }

    /// Whether an address is reserved for a client, in any subnet.
    pub fn has_reserved(&self, client: &Client) -> bool {
        let Some(mac) = client.mac() else { return false };
        self.subnets.iter().any(|subnet| subnet.reservations.contains_key(&mac))
    }

    /// The subnet that the configuration assigns to the link of an interface.
    pub fn subnet_on(&self, interface: &str) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| subnet.interface.as_deref() == Some(interface))
    }

    /// The subnet that a relay selects by its link address.
    pub(crate) fn subnet_behind(&self, link: Ipv6Addr) -> Option<&Subnet> {
        let named = self.subnets.iter().find(|subnet| subnet.relays.contains(&link));
        named.or_else(|| self.subnet_of(link))
    }
}

impl LeaseSubnet<Ipv6Addr> for Subnet {
    fn addresses(&self) -> RangeInclusive<Ipv6Addr> {
        self.net.network()..=self.net.broadcast()
    }

    fn ranges(&self) -> &[RangeInclusive<Ipv6Addr>] {
        &self.ranges
    }

    fn is_in_pool(&self, address: Ipv6Addr) -> bool {
        let in_range = self.ranges.iter().any(|range| range.contains(&address));
        in_range && !self.reserved.contains_key(&address)
    }
}

pub(super) fn parse(raw: &raw::Dhcp6, instances: Option<Instances>) -> Result<Config, ConfigError> {
    if raw.interfaces.is_empty() && raw.listen.is_empty() {
        let problem = "nothing to listen on; add an interface here, or an address to dhcp6.listen";
        return Err(ConfigError::Field {
            line: 0,
            field: "dhcp6.interfaces",
            problem: problem.to_owned(),
        });
    }
    let field = "dhcp6.interfaces";
    let config = Config {
        interfaces: distinct(&raw.interfaces, field, |text| interface(text, field))?,
        listen: distinct(&raw.listen, "dhcp6.listen", socket)?,
        relays: distinct(&raw.relays, "dhcp6.relays", |text| {
            scalar(text, "dhcp6.relays", "an IPv6 address", "fd99::2")
        })?,
        duid: raw.duid.as_ref().map(duid).transpose()?,
        rapid_commit: raw.rapid_commit,
        instances,
        subnets: subnet::parse_all(&raw.subnets)?,
        boot: boot(&raw.boot)?,
    };
    let is_not_served = |text: &&Text| !config.interfaces.contains(&text.value);
    let named = raw.subnets.iter().filter_map(|subnet| subnet.interface.as_ref());
    match named.into_iter().find(is_not_served) {
        None => Ok(config),
        Some(text) => {
            let problem = format!("`{}` is not served; add it to dhcp6.interfaces", text.value);
            Err(fail(text, "dhcp6.subnets.interface", problem))
        }
    }
}

/// Whether any subnet is explicit about BMCs.
pub(super) fn says_bmc(raw: &raw::Dhcp6) -> bool {
    raw.subnets.iter().any(|subnet| subnet.bmc.is_some())
}

fn socket(text: &Text) -> Result<SocketAddrV6, ConfigError> {
    let with_port = || text.value.parse().ok();
    let address = text.value.parse().map(|ip| SocketAddrV6::new(ip, DHCPV6_SERVER, 0, 0)).ok();
    let problem =
        || format!("`{}` is not an IPv6 address; use, for example, `fd00::2`", text.value);
    address.or_else(with_port).ok_or_else(|| fail(text, "dhcp6.listen", problem()))
}

/// Hexadecimal digits, optionally separated by colons.
fn duid(text: &Text) -> Result<Vec<u8>, ConfigError> {
    let digits: Vec<u32> =
        text.value.chars().filter(|c| *c != ':').map_while(|c| c.to_digit(16)).collect();
    let is_whole = digits.len() == text.value.chars().filter(|c| *c != ':').count();
    let (pairs, rest) = digits.as_chunks::<2>();
    let bytes: Vec<u8> = pairs.iter().filter_map(|[h, l]| u8::try_from(h << 4 | l).ok()).collect();
    if is_whole && rest.is_empty() && DUID_LEN.contains(&bytes.len()) {
        return Ok(bytes);
    }
    let problem = format!(
        "`{}` is not a DUID; use 3 to 130 bytes in hexadecimal, for example `000300015254000a0001`",
        text.value
    );
    Err(fail(text, "dhcp6.duid", problem))
}

fn boot(raw: &raw::Boot) -> Result<BootUrls, ConfigError> {
    const HTTP: &[&str] = &["http://", "https://"];
    const ANY: &[&str] = &["tftp://", "http://", "https://"];
    let url = |text: &Option<Text>, schemes, field| {
        text.as_ref().map(|text| url(text, schemes, field)).transpose()
    };
    Ok(BootUrls {
        uefi: url(&raw.uefi, ANY, "dhcp6.boot.uefi")?,
        arm64: url(&raw.arm64, ANY, "dhcp6.boot.arm64")?,
        http: url(&raw.http, HTTP, "dhcp6.boot.http")?,
        http_arm64: url(&raw.http_arm64, HTTP, "dhcp6.boot.httpArm64")?,
        uefi_http: url(&raw.uefi_http, HTTP, "dhcp6.boot.uefiHttp")?,
        arm64_http: url(&raw.arm64_http, HTTP, "dhcp6.boot.arm64Http")?,
        ipxe: url(&raw.ipxe, ANY, "dhcp6.boot.ipxe")?,
        parameters: raw.parameters.iter().map(parameter).collect::<Result<_, _>>()?,
    })
}

fn url(text: &Text, schemes: &[&str], field: &'static str) -> Result<String, ConfigError> {
    let url = &text.value;
    let rest = schemes.iter().find_map(|scheme| url.strip_prefix(scheme));
    let has_host = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    if has_host && url.len() <= MAX_URL && url.chars().all(|c| c.is_ascii_graphic()) {
        return Ok(url.clone());
    }
    let problem = format!(
        "`{url}` is not a valid URL; use {} with a host and a path, at most {MAX_URL} visible \
         ASCII characters",
        schemes.join(" or ")
    );
    Err(fail(text, field, problem))
}

fn parameter(text: &Text) -> Result<String, ConfigError> {
    if (1..=MAX_PARAMETER).contains(&text.value.len()) {
        return Ok(text.value.clone());
    }
    let problem = format!("use 1 to {MAX_PARAMETER} characters");
    Err(fail(text, "dhcp6.boot.parameters", problem))
}
