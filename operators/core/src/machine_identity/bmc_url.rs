//! The address of the BMC of a Machine, and the path of its system, from `spec.pxe.redfish`.

use crate::{
    bmc::{Missing, Verification, unconfirmed_name},
    bmc_host::BmcHost,
    redfish::Scheme,
};
use metal_api::MachineRedfish;

/// Used for the only system, if no ID is set.
const FIRST: &str = "1";
/// Path of the systems (DSP0266, section 8.2).
const SYSTEMS: &str = "/redfish/v1/Systems/";

/// The address of a BMC.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BmcAddress {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Address, or host name.
    pub host: BmcHost,
    /// TCP port.
    pub port: u16,
}

/// Parses `spec.pxe.redfish.url`.
///
/// # Errors
///
/// It is not `https://HOST[:PORT]`, or uses plain HTTP although that is not allowed, or with a host
/// name, which anybody may answer for.
pub fn bmc_address(redfish: &MachineRedfish, plain_http: bool) -> Result<BmcAddress, Missing> {
    let url = redfish.url.trim();
    let refuse = |reason, why: &str| {
        let message = format!("spec.pxe.redfish.url: {why}");
        Missing { reason, message }
    };
    let form = || refuse("InvalidURL", "use https://ADDRESS or https://ADDRESS:PORT");
    let (scheme, rest) = url.split_once("://").ok_or_else(form)?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "https" => Scheme::Https,
        "http" if plain_http => Scheme::Http,
        "http" => {
            let why = "plain HTTP would send the password unencrypted: use https, or start \
                       metalman with --allow-plain-http-bmcs";
            return Err(refuse("PlainHTTP", why));
        }
        _ => return Err(form()),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = split(authority).ok_or_else(form)?;
    let host = host.parse::<BmcHost>().map_err(|_| form())?.canonical();
    let default = if scheme == Scheme::Https { 443 } else { 80 };
    let port = match port {
        None => default,
        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or_else(form)?,
    };
    if let Some(why) = unconfirmed_name(&host, scheme, Verification::Pinned) {
        let why = format!(
            "the password is not sent to the host name {host}, because {why}: use https, or an IP \
             address"
        );
        return Err(refuse("NameNotConfirmed", &why));
    }
    Ok(BmcAddress { scheme, host, port })
}

/// Host and port of an authority (RFC 3986, section 3.2) without user information.
fn split(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(v6) = authority.strip_prefix('[') {
        let (host, rest) = v6.split_once(']')?;
        let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) };
        return host.contains(':').then_some((host, port));
    }
    match authority.split_once(':') {
        Some((host, port)) => Some((host, Some(port))),
        None => Some((authority, None)),
    }
}

/// The path of the system that `spec.pxe.redfish.deviceID` names; `None` for the only one that there is.
///
/// # Errors
///
/// If it is not the ID of a system.
pub fn system_uri(redfish: &MachineRedfish) -> Result<Option<String>, Missing> {
    let id = redfish.device_id.as_deref().unwrap_or(FIRST);
    if id.is_empty() {
        return Ok(None);
    }
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~@:+".contains(&byte);
    if id.len() > 128 || !id.bytes().all(is_fine) || id.bytes().all(|byte| byte == b'.') {
        let message = "spec.pxe.redfish.deviceID: set the Redfish Id of a system, such as 1".into();
        return Err(Missing { reason: "InvalidDeviceID", message });
    }
    Ok(Some(format!("{SYSTEMS}{id}")))
}
