//! What is made from an [`Endpoint`]: a BMC with the credentials for its MAC prefix, or a condition
//! that says why not.

mod existing;
pub mod inline;
pub mod recording;
mod sighting;

pub use existing::Existing;
pub use sighting::Sighting;

use crate::{
    bmc::note_of_new,
    conditions::{self, Fact},
    macdb::{Entry, MacDb},
};
use jiff::{SignedDuration, Timestamp};
use metal_api::{
    Bmc, BmcSecretSpec, BmcSpec, ConsoleProtocol, ConsoleProtocolName, Endpoint, EndpointStatus,
    InlineAccess, LocalObjectReference, MacAddr, Operation, Protocol, ProtocolName, ProtocolScheme,
    annotation, condition,
};
use std::{collections::BTreeMap, net::IpAddr};

/// Watches wake an Endpoint when something changes; this catches what they missed.
const RESYNC: SignedDuration = SignedDuration::from_mins(10);

/// Everything one decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    /// The object, from the cache.
    pub endpoint: &'a Endpoint,
    /// Names of other Endpoints with the same MAC address.
    pub twins: &'a [String],
    /// Names of other Endpoints with the same IP address that count as rivals
    /// ([`crate::identity::is_rival`]).
    pub same_ip: &'a [String],
    /// The MAC prefix database; `None` if none is configured.
    pub macdb: Option<&'a MacDb>,
    /// The BMC of the same name.
    pub bmc: Option<&'a Bmc>,
    /// Whether there is a BMC of that name that cannot be parsed.
    pub is_bmc_unreadable: bool,
    /// The failure of the last pass, if it failed.
    pub failure: Option<&'a crate::failure::Failure>,
    /// Time of the observation.
    pub now: Timestamp,
}

/// What one pass is to do.
pub type Decision = metal_base::Decision<EndpointStatus, Change>;

/// One write to other objects.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Create the BMCSecret, unless it exists, as its credentials may have been rotated. Then
    /// create the BMC, unless it exists.
    Create(Box<WantedObjects>),
}

/// The two objects for an Endpoint, both with its name.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedObjects {
    /// The credentials.
    pub secret: BmcSecretSpec,
    /// Annotations of the credentials about the BMC that they are made for.
    pub note: BTreeMap<String, String>,
    /// The BMC.
    pub bmc: BmcSpec,
}

/// Decides what one pass does about one Endpoint.
pub fn decide(seen: &Observation<'_>) -> Decision {
    let operation = Operation::requested(&seen.endpoint.metadata).ok().flatten();
    if operation.is_some_and(Operation::ignores_self) {
        return Decision::Rest(RESYNC);
    }
    let judged = judge(seen);
    let mut new = seen.endpoint.status.clone().unwrap_or_default();
    record_recognized(&mut new, seen, judged.as_ref().err());
    settled(&mut new, seen);
    if Some(&new) != seen.endpoint.status.as_ref() && new != EndpointStatus::default() {
        return Decision::Record(Box::new(new));
    }
    match judged {
        Ok(Some(wanted)) => Decision::Change(Change::Create(Box::new(wanted))),
        Ok(None) | Err(_) => Decision::Rest(RESYNC),
    }
}

/// Why no BMC is made from an Endpoint: a reason, and what to do.
type Refusal = (&'static str, String);

/// What has yet to be created; `None` if everything exists.
fn judge(seen: &Observation<'_>) -> Result<Option<WantedObjects>, Refusal> {
    let spec = &seen.endpoint.spec;
    let text = spec.mac_address.as_deref().unwrap_or_default();
    let mac = text.parse::<MacAddr>().map_err(|error| {
        ("InvalidMACAddress", format!("spec.macAddress: {error}: use the form aa:bb:cc:dd:ee:ff"))
    })?;
    let ip = spec.ip.as_deref().unwrap_or_default();
    let ip = ip.parse::<IpAddr>().map_err(|_| {
        ("InvalidIP", format!("spec.ip: `{ip}` is not an IP address: set the address of the BMC"))
    })?;
    if !seen.twins.is_empty() {
        let names = seen.twins.join(", ");
        let message = format!("spec.macAddress is also used by {names}: delete all but one");
        return Err(("Ambiguous", message));
    }
    if !seen.same_ip.is_empty() {
        let names = seen.same_ip.join(", ");
        let message = format!(
            "spec.ip is also used by {names}: keep only the Endpoint whose BMC has this address, \
             and correct or delete the others; until then no login is attempted at {ip}"
        );
        return Err(("Ambiguous", message));
    }
    if let Some(bmc) = seen.bmc {
        return existing(seen, bmc);
    }
    if seen.is_bmc_unreadable {
        return Err(unreadable(seen));
    }
    let macdb = seen.macdb.ok_or_else(|| {
        ("NoDatabase", "no MAC prefix database is configured: set --mac-prefixes-file".to_owned())
    })?;
    let entry = macdb.lookup(mac).ok_or_else(|| {
        let message = format!(
            "no entry of the MAC prefix database matches {mac}: add its prefix, or delete this \
             Endpoint if it is not a BMC"
        );
        ("UnknownPrefix", message)
    })?;
    wanted(seen, ip, entry).map(Some)
}

/// A BMC of this name exists, and cannot be parsed.
fn unreadable(seen: &Observation<'_>) -> Refusal {
    let name = seen.endpoint.metadata.name.as_deref().unwrap_or_default();
    let fix = "correct it; its event Unreadable names the field";
    ("BMCUnreadable", format!("BMC {name} exists, but cannot be parsed: {fix}"))
}

/// A BMC of this name exists: if it is ours, it is left as it is.
fn existing(seen: &Observation<'_>, bmc: &Bmc) -> Result<Option<WantedObjects>, Refusal> {
    let name = seen.endpoint.metadata.name.as_deref().unwrap_or_default();
    match &bmc.spec.endpoint_ref {
        Some(endpoint) if endpoint.name == name => Ok(None),
        Some(_) | None => {
            let message = format!(
                "BMC {name} exists but does not reference this Endpoint: rename one of them"
            );
            Err(("NameTaken", message))
        }
    }
}

fn wanted(seen: &Observation<'_>, ip: IpAddr, entry: &Entry) -> Result<WantedObjects, Refusal> {
    let name = seen.endpoint.metadata.name.clone().unwrap_or_default();
    let mut wanted = objects_by_prefix(&name, (ip, seen.now), entry)?;
    wanted.bmc.endpoint_ref = Some(LocalObjectReference { name });
    Ok(wanted)
}

/// What to create for a BMC without an Endpoint. An error says what is wrong with the entry for its
/// MAC prefix, and what to do.
fn wanted_inline(
    name: &str,
    (mac, ip): (MacAddr, IpAddr),
    entry: &Entry,
    now: Timestamp,
) -> Result<WantedObjects, String> {
    let mut wanted = objects_by_prefix(name, (ip, now), entry).map_err(|(_, message)| message)?;
    let (mac_address, ip) = (Some(mac.to_string()), Some(ip.to_string()));
    wanted.bmc.access = Some(InlineAccess { mac_address, ip });
    Ok(wanted)
}

/// Both objects, from the entry for a MAC prefix; without the address of the BMC.
///
/// A BMC that was found by DHCP gets its first password over https, unless the entry says http.
fn objects_by_prefix(
    name: &str,
    (ip, now): (IpAddr, Timestamp),
    entry: &Entry,
) -> Result<WantedObjects, Refusal> {
    let invalid = |field: &str, value: &str, fix: &str| {
        let prefix = &entry.mac_prefix;
        ("InvalidEntry", format!("MAC prefix database, entry {prefix}: {field} `{value}`: {fix}"))
    };
    let protocol = ProtocolName::from(entry.protocol.as_str());
    if matches!(protocol, ProtocolName::Other(_)) {
        return Err(invalid("protocol", &entry.protocol, "use Redfish"));
    }
    let credentials = entry
        .default_credentials
        .first()
        .ok_or_else(|| invalid("defaultCredentials", "", "give at least one"))?;
    let console_protocol = console(entry)
        .map_err(|kind| invalid("console.type", kind, "use IPMI, SSH or SSHLenovo"))?;
    let values = [
        (BmcSecretSpec::USERNAME, &credentials.username),
        (BmcSecretSpec::PASSWORD, &credentials.password),
    ];
    let data = values
        .map(|(key, value)| (key.to_owned(), k8s_openapi::ByteString(value.clone().into_bytes())));
    let bmc = BmcSpec {
        bmc_secret_ref: LocalObjectReference { name: name.to_owned() },
        protocol: Protocol {
            name: protocol,
            port: i32::from(entry.port),
            scheme: Some(
                entry.protocol_scheme.as_deref().map_or(ProtocolScheme::Https, Into::into),
            ),
        },
        console_protocol,
        ..BmcSpec::default()
    };
    let secret = BmcSecretSpec { data: Some(data.into()), ..Default::default() };
    Ok(WantedObjects { secret, note: note_of_new(ip, now), bmc })
}

/// The console of BMCs with this prefix; an error is a type that does not exist.
fn console(entry: &Entry) -> Result<Option<ConsoleProtocol>, &str> {
    let Some(console) = &entry.console else { return Ok(None) };
    let name = match console.kind.as_str() {
        "IPMI" => ConsoleProtocolName::Ipmi,
        "SSH" => ConsoleProtocolName::Ssh,
        "SSHLenovo" => ConsoleProtocolName::SshLenovo,
        other => return Err(other),
    };
    Ok(Some(ConsoleProtocol { name, port: i32::from(console.port) }))
}

/// Records why no BMC is made from the Endpoint. An Endpoint that never had a problem has no
/// condition, which saves ten thousand writes.
fn record_recognized(new: &mut EndpointStatus, seen: &Observation<'_>, refusal: Option<&Refusal>) {
    let type_ = condition::RECOGNIZED;
    let failed = seen.failure.map(|failure| (failure.reason, failure.text.clone()));
    let fact = match refusal.or(failed.as_ref()) {
        Some((reason, message)) => Fact { type_, holds: false, reason, message },
        None if new.conditions.iter().any(|condition| condition.type_ == type_) => {
            Fact { type_, holds: true, reason: "Recognized", message: "" }
        }
        None => return,
    };
    let generation = seen.endpoint.metadata.generation;
    new.observed_generation = generation;
    conditions::set(&mut new.conditions, fact, generation, seen.now);
}

/// Records what netboot found, as netboot does not write the status of Endpoints.
fn settled(new: &mut EndpointStatus, seen: &Observation<'_>) {
    let type_ = condition::ADDRESS_SETTLED;
    let annotations = seen.endpoint.metadata.annotations.as_ref();
    let fact = match annotations.and_then(|all| all.get(annotation::ADDRESS_CONFLICT)) {
        Some(message) => Fact { type_, holds: false, reason: "AddressConflict", message },
        None if new.conditions.iter().any(|condition| condition.type_ == type_) => {
            Fact { type_, holds: true, reason: "Settled", message: "" }
        }
        None => return,
    };
    conditions::set(&mut new.conditions, fact, seen.endpoint.metadata.generation, seen.now);
}

#[cfg(test)]
mod tests;
