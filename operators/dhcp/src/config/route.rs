//! Routes of a subnet, and the files that switches load first.

use super::{
    field::{ConfigError, address, fail, http_url, mac_prefix, scalar},
    raw,
};
use ipnet::Ipv4Net;
use metal_core::macdb::MacPrefix;
use std::net::Ipv4Addr;

/// A route that clients get in addition to the default route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The destination.
    pub to: Ipv4Net,
    /// The next hop.
    pub via: Ipv4Addr,
}

/// What a switch loads to configure itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ztp {
    /// A prefix of its MAC address.
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
            let problem = format!("`{to}` has host bits set; use `{}`", to.trunc());
            return Err(fail(&raw.to, TO, problem));
        }
        if routes.iter().any(|other| other.to == to) {
            return Err(fail(&raw.to, TO, format!("duplicate route to {to}; remove one")));
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
