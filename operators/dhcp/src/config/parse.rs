//! Parses the configuration file.

use super::{
    BmcSubnets, Config, NewBmcLimits, Record,
    boot::{BootFiles, MAX_FILE, TftpFile},
    field::{ConfigError, address, distinct, fail, http_url, interface, mac_prefix, scalar},
    instances, raw, route, subnet, tftp, unused, v6,
};
use crate::port::DHCPV4_SERVER;
use metal_text::yaml::{self, LeadingZero};
use std::net::{Ipv4Addr, SocketAddrV4};

/// Longest name of an object, less the MAC address.
const MAX_NAME_PREFIX: usize = 253 - 12;
const NAME_PREFIX: &str = "compute-";

impl Config {
    /// Reads the text of the configuration file.
    ///
    /// # Errors
    ///
    /// Each names the line, the field and what to write instead.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let raw: raw::Config = yaml::read(text, LeadingZero::Decimal)
            .map_err(|error| ConfigError::Yaml(error.to_string()))?;
        if raw.interfaces.is_empty() && raw.listen.is_empty() && raw.dhcp6.is_none() {
            let problem = "nothing to listen on; add an interface here, or an address to listen";
            return Err(ConfigError::Field {
                line: 0,
                field: "interfaces",
                problem: problem.to_owned(),
            });
        }
        let instances = raw.instances.as_ref().map(instances::parse).transpose()?;
        let dhcp6 = |raw| v6::parse(raw, instances);
        let mut config = Self {
            interfaces: distinct(&raw.interfaces, "interfaces", |t| interface(t, "interfaces"))?,
            listen: distinct(&raw.listen, "listen", socket)?,
            relays: distinct(&raw.relays, "relays", |t| address(t, "relays"))?,
            authoritative: raw.authoritative,
            conflict_probe: raw.conflict_probe,
            subnets: subnet::parse_all(subnets(&raw)?)?,
            boot: boot(&raw.boot, raw.tftp.is_some())?,
            tftp: raw.tftp.as_ref().map(tftp::parse).transpose()?,
            ztp: route::ztp(&raw.ztp)?,
            allow: distinct(&raw.allow, "allow", |t| mac_prefix(t, "allow"))?,
            deny: distinct(&raw.deny, "deny", |t| mac_prefix(t, "deny"))?,
            endpoint_prefix: name_prefix(raw.endpoints.name_prefix.as_ref())?,
            record: record(raw.endpoints.mode.as_ref())?,
            new_bmcs: new_bmcs(&raw.endpoints)?,
            bmc_subnets: BmcSubnets::default(),
            instances,
            dhcp6: raw.dhcp6.as_ref().map(dhcp6).transpose()?,
            unused: unused::of(&raw),
        };
        let says = raw.subnets.iter().flatten().any(|subnet| subnet.bmc.is_some());
        let says6 = raw.dhcp6.as_ref().is_some_and(v6::says_bmc);
        config.place_bmcs(says || says6);
        Ok(config)
    }
}

/// The IPv4 subnets. They are required with IPv4 listeners; an IPv6-only server needs none.
fn subnets(raw: &raw::Config) -> Result<&[raw::Subnet], ConfigError> {
    match (&raw.subnets, raw.interfaces.first().or(raw.listen.first())) {
        (Some(subnets), _) => Ok(subnets),
        (None, None) => Ok(&[]),
        (None, Some(listener)) => {
            let problem = "no subnets, so no client would be answered; add subnets, or remove \
                           this section if you only use DHCPv6";
            Err(fail(listener, "subnets", problem))
        }
    }
}

fn socket(text: &raw::Text) -> Result<SocketAddrV4, ConfigError> {
    let with_port = || text.value.parse().ok();
    let address = text.value.parse().map(|ip| SocketAddrV4::new(ip, DHCPV4_SERVER)).ok();
    let problem =
        || format!("`{}` is not an IPv4 address; use, for example, `10.0.0.2`", text.value);
    address.or_else(with_port).ok_or_else(|| fail(text, "listen", problem()))
}

fn record(text: Option<&raw::Text>) -> Result<Record, ConfigError> {
    let parse = |text| scalar(text, "endpoints.mode", "`endpoint` or `bmc`", "bmc");
    text.map_or(Ok(Record::default()), parse)
}

fn new_bmcs(raw: &raw::Endpoints) -> Result<NewBmcLimits, ConfigError> {
    let mut bounds = NewBmcLimits::default();
    if let Some(value) = &raw.new_per_minute {
        bounds.per_minute = count(value, "endpoints.newPerMinute", 60_000)?;
    }
    if let Some(value) = &raw.max_unanswered {
        bounds.unanswered = count(value, "endpoints.maxUnanswered", 1_000_000)?;
    }
    Ok(bounds)
}

fn count<T: TryFrom<i64>>(
    value: &raw::Located<i64>,
    field: &'static str,
    most: i64,
) -> Result<T, ConfigError> {
    let count = Some(value.value).filter(|count| (1..=most).contains(count));
    let problem = || format!("`{}` is out of range; use a number from 1 to {most}", value.value);
    count.and_then(|count| T::try_from(count).ok()).ok_or_else(|| fail(value, field, problem()))
}

fn name_prefix(text: Option<&raw::Text>) -> Result<String, ConfigError> {
    let Some(text) = text else { return Ok(NAME_PREFIX.to_owned()) };
    let is_label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let starts = text.value.starts_with(|c: char| c.is_ascii_alphanumeric());
    let fits = text.value.len() <= MAX_NAME_PREFIX && text.value.chars().all(is_label);
    if text.value.is_empty() || (starts && fits) {
        return Ok(text.value.clone());
    }
    let problem = "not a valid prefix of an object name; use lower-case letters, digits and `-`";
    Err(fail(text, "endpoints.namePrefix", problem))
}

/// The boot files. Those without a next server are on the built-in TFTP server, if that is enabled.
fn boot(raw: &raw::Boot, has_tftp: bool) -> Result<BootFiles, ConfigError> {
    let server = raw.next_server.as_ref().map(|t| address(t, "boot.nextServer")).transpose()?;
    let file = |text: &Option<raw::Text>, field| {
        text.as_ref().map(|text| tftp_file(text, server, has_tftp, field)).transpose()
    };
    let url = |text: &Option<raw::Text>, field| {
        text.as_ref().map(|text| http_url(text, field)).transpose()
    };
    Ok(BootFiles {
        bios: file(&raw.bios, "boot.bios")?,
        uefi: file(&raw.uefi, "boot.uefi")?,
        arm64: file(&raw.arm64, "boot.arm64")?,
        http: url(&raw.http, "boot.http")?,
        http_arm64: url(&raw.http_arm64, "boot.httpArm64")?,
        uefi_http: url(&raw.uefi_http, "boot.uefiHttp")?,
        arm64_http: url(&raw.arm64_http, "boot.arm64Http")?,
        ipxe: url(&raw.ipxe, "boot.ipxe")?,
    })
}

/// `path` on the next server, or `tftp://address/path`.
fn tftp_file(
    text: &raw::Text,
    next_server: Option<Ipv4Addr>,
    has_tftp: bool,
    field: &'static str,
) -> Result<TftpFile, ConfigError> {
    let (server, path) = match text.value.strip_prefix("tftp://") {
        None => (next_server, text.value.as_str()),
        Some(url) => {
            let (host, path) = url.split_once('/').unwrap_or((url, ""));
            let problem =
                || format!("`{host}` is not an IPv4 address; firmware cannot resolve host names");
            (Some(host.parse().map_err(|_| fail(text, field, problem()))?), path)
        }
    };
    if path.is_empty() || path.len() > MAX_FILE || !path.chars().all(|c| c.is_ascii_graphic()) {
        let problem = format!("use a path of 1 to {MAX_FILE} visible ASCII characters");
        return Err(fail(text, field, problem));
    }
    if server.is_none() && !has_tftp {
        let problem = "no TFTP server is configured; set boot.nextServer or tftp.root, or use \
                       tftp://address/path";
        return Err(fail(text, field, problem));
    }
    Ok(TftpFile { server, path: path.to_owned() })
}
