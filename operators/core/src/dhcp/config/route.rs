//! Routes of a subnet, and the files that switches load first.

use super::{
    parse::{ConfigError, address, fail, http_url, mac_prefix, scalar},
    raw,
};
use crate::macdb::MacPrefix;
use ipnet::Ipv4Net;
use std::net::Ipv4Addr;

/// A route that clients are told besides the default one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where it leads.
    pub to: Ipv4Net,
    /// The next hop.
    pub via: Ipv4Addr,
}

/// What a switch loads to configure itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ztp {
    /// Whose MAC address begins so.
    pub mac: MacPrefix,
    /// URL of a script or a list of steps (SONiC), or of an installer (ONIE).
    pub url: String,
}

pub(super) fn routes(list: &[raw::Route]) -> Result<Vec<Route>, ConfigError> {
    const TO: &str = "subnets.routes.to";
    let mut routes: Vec<Route> = Vec::with_capacity(list.len());
    for raw in list {
        let to: Ipv4Net = scalar(&raw.to, TO, "a subnet", "10.0.0.0/8")?;
        if to.trunc() != to {
            let problem = format!("`{to}` has bits set behind its prefix; write `{}`", to.trunc());
            return Err(fail(&raw.to, TO, problem));
        }
        if routes.iter().any(|other| other.to == to) {
            return Err(fail(&raw.to, TO, format!("{to} has a route already; remove one")));
        }
        routes.push(Route { to, via: address(&raw.via, "subnets.routes.via")? });
    }
    Ok(routes)
}

pub(super) fn ztp(list: &[raw::Ztp]) -> Result<Vec<Ztp>, ConfigError> {
    let parse = |raw: &raw::Ztp| {
        Ok(Ztp { mac: mac_prefix(&raw.mac, "ztp.mac")?, url: http_url(&raw.url, "ztp.url")? })
    };
    list.iter().map(parse).collect()
}

/// Option 121 (RFC 3442): whoever reads it does not read the default route elsewhere.
pub(in crate::dhcp) fn classless(gateway: Option<Ipv4Addr>, others: &[Route]) -> Vec<u8> {
    let mut value = Vec::new();
    if others.is_empty() {
        return value;
    }
    let default = gateway.map(|via| Route { to: Ipv4Net::default(), via });
    for Route { to, via } in others.iter().copied().chain(default) {
        value.push(to.prefix_len());
        let significant = usize::from(to.prefix_len().div_ceil(8));
        value.extend(&to.network().octets()[..significant]);
        value.extend(via.octets());
    }
    value
}
