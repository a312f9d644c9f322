//! Where a BMC listens and with which credentials, from what people and Endpoints specify.

use super::Verification;
use crate::{
    bmc_host::BmcHost,
    redfish::{Credentials, Scheme},
};
use metal_api::{Bmc, BmcAccess, BmcSecret, BmcSecretSpec, Endpoint, Protocol, ProtocolName};
use std::net::IpAddr;

/// Everything that is needed to access a BMC.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Address, or host name.
    pub host: BmcHost,
    /// TCP port.
    pub port: u16,
    /// The credentials.
    pub credentials: Credentials,
}

/// What is missing: a CamelCase reason, and a text that names the field and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// CamelCase, from a small fixed set.
    pub reason: &'static str,
    /// Field and fix.
    pub message: String,
}

impl Missing {
    fn new(reason: &'static str, message: String) -> Self {
        Self { reason, message }
    }
}

/// The address of the BMC. `endpoint` and `secret` are what the object refers to, if they exist.
///
/// # Errors
///
/// What is missing or malformed.
pub fn destination(
    bmc: &Bmc,
    endpoint: Option<&Endpoint>,
    secret: Option<&BmcSecret>,
    default: Scheme,
) -> Result<Destination, Missing> {
    let (field, ip) = match (&bmc.spec.access, &bmc.spec.endpoint_ref) {
        (Some(access), _) => ("spec.access.ip", access.ip.as_deref()),
        (None, Some(reference)) => {
            let endpoint = endpoint.ok_or_else(|| {
                let message = format!(
                    "spec.endpointRef: Endpoint {} not found: create it, or use spec.access",
                    reference.name
                );
                Missing::new("EndpointMissing", message)
            })?;
            ("spec.ip of the Endpoint", endpoint.spec.ip.as_deref())
        }
        (None, None) => {
            let message = "set spec.endpointRef or spec.access".to_owned();
            return Err(Missing::new("NoAddress", message));
        }
    };
    let ip = ip.unwrap_or_default();
    let address = ip.parse::<IpAddr>().map_err(|_| {
        let message = format!(
            "{field}: `{ip}` is not an IP address: set the address of the BMC (host names are \
             only supported in spec.bmc.address of a Server)"
        );
        Missing::new("InvalidIP", message)
    })?;
    let secret = (&*bmc.spec.bmc_secret_ref.name, secret);
    assemble(address.into(), &bmc.spec.protocol, secret, default)
}

/// The address of the BMC of a server without a BMC object.
///
/// # Errors
///
/// What is missing or malformed. A host name without https, or without verification, is refused:
/// whoever answers for the name would get the password.
pub fn inline_destination(
    access: &BmcAccess,
    secret: Option<&BmcSecret>,
    default: Scheme,
    verification: Verification,
) -> Result<Destination, Missing> {
    let address = &access.address;
    let host = address.parse::<BmcHost>().map_err(|error| {
        let message =
            format!("spec.bmc.address: `{address}` is {error}: set the address of the BMC");
        Missing::new("InvalidIP", message)
    })?;
    let secret = (&*access.bmc_secret_ref.name, secret);
    let destination = assemble(host, &access.protocol, secret, default)?;
    let Some(why) = unconfirmed_name(&destination.host, destination.scheme, verification) else {
        return Ok(destination);
    };
    let message = format!(
        "spec.bmc.address: the password is not sent to the host name {}, because {why}: use https \
         with certificate verification, or an IP address",
        destination.host
    );
    Err(Missing::new("NameNotConfirmed", message))
}

/// Why nobody knows who answers for a host name; `None` for an address, and for a name whose certificate
/// is verified.
pub fn unconfirmed_name(
    host: &BmcHost,
    scheme: Scheme,
    verification: Verification,
) -> Option<&'static str> {
    match (host, scheme, verification) {
        (BmcHost::Address(_), ..)
        | (BmcHost::Name(_), Scheme::Https, Verification::Authorities | Verification::Pinned) => {
            None
        }
        (BmcHost::Name(_), Scheme::Https, Verification::Off) => {
            Some("certificates are not verified")
        }
        (BmcHost::Name(_), Scheme::Http, _) => Some("the connection uses plain http"),
    }
}

fn assemble(
    host: BmcHost,
    protocol: &Protocol,
    (secret_name, secret): (&str, Option<&BmcSecret>),
    default: Scheme,
) -> Result<Destination, Missing> {
    if let ProtocolName::Other(name) = &protocol.name {
        let message = format!("protocol.name: `{name}` is not supported: use Redfish");
        return Err(Missing::new("UnknownProtocol", message));
    }
    let port = u16::try_from(protocol.port).ok().filter(|port| *port > 0).ok_or_else(|| {
        let message = format!("protocol.port: {} is not a TCP port: use 1 to 65535", protocol.port);
        Missing::new("InvalidPort", message)
    })?;
    let scheme = scheme(protocol, default)?;
    let credentials = credentials(secret_name, secret)?;
    Ok(Destination { scheme, host, port, credentials })
}

/// The scheme by which a BMC is accessed.
pub(crate) fn scheme(protocol: &Protocol, default: Scheme) -> Result<Scheme, Missing> {
    let Some(scheme) = &protocol.scheme else { return Ok(default) };
    scheme.as_str().parse().map_err(|_| {
        let message = format!("protocol.scheme: `{scheme}` is neither http nor https");
        Missing::new("UnknownScheme", message)
    })
}

fn credentials(name: &str, secret: Option<&BmcSecret>) -> Result<Credentials, Missing> {
    let secret = secret.ok_or_else(|| {
        let message = format!("bmcSecretRef: BMCSecret {name} not found: create it");
        Missing::new("SecretMissing", message)
    })?;
    let value = |key: &'static str| {
        secret.spec.value(key).map(str::to_owned).ok_or_else(|| {
            let message = format!("BMCSecret {name}: data.{key} is missing or not UTF-8: set it");
            Missing::new("SecretIncomplete", message)
        })
    };
    Ok(Credentials {
        username: value(BmcSecretSpec::USERNAME)?,
        password: value(BmcSecretSpec::PASSWORD)?,
    })
}
