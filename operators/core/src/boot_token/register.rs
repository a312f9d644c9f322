//! An installed machine registers its key, and becomes a Host.
//!
//! ```text
//! proof is verified ─► decide ─► Record ─► Create ─► Created ─► yes
//! ```
//!
//! First the token's status says which key has consumed it, by a write that fails if anybody else
//! has written the token; then the Host is created; then its UID is recorded. Only then is the
//! machine told yes. Whoever continues after a crash sees how far it was, and creates the same Host,
//! but never one that somebody has deleted since.

use super::{Refusal, binding, is_open, status, tpm};
use crate::rented_host::PublicKey;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use metal_api::{
    BootRegistration, BootToken, BootTokenPhase, BootTokenStatus, Host, HostHardware, HostSpec,
};
use std::net::IpAddr;

/// The token that a Host has registered with.
pub const BY_TOKEN: &str = "bloomery.dev/boot-token";

/// A machine that has proved that it has the key.
#[derive(Clone, Debug)]
pub struct Registrant<'a> {
    /// Its key.
    pub key: &'a PublicKey,
    /// The boot in which it was installed.
    pub attempt: i64,
    /// The hardware that it reports.
    pub hardware: &'a HostHardware,
    /// The address from which it asks.
    pub address: Option<IpAddr>,
    /// Hash of the endorsement key that it has proved.
    pub endorsement: Option<&'a str>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Record this in the token's status, and decide again.
    Record(Box<BootTokenStatus>),
    /// Create this Host, and record its UID with [`created`].
    Create(Box<Host>),
    /// The Host exists: its UID has yet to be recorded.
    Adopt(String),
    /// Everything is done, and the machine is told.
    Done,
}

/// Decides about a machine that registers. `host` is the Host of the token's host name, as it is
/// now.
///
/// # Errors
///
/// If the machine is refused.
pub fn register(
    token: &BootToken,
    host: Option<&Host>,
    registrant: &Registrant<'_>,
    now: Timestamp,
) -> Result<Next, Refusal> {
    if let Some(registration) = status(token).registration {
        let is_same = PublicKey::parse(&registration.public_key).as_ref() == Ok(registrant.key);
        return if is_same { finish(token, &registration, host) } else { Err(Refusal::Consumed) };
    }
    is_open(token, now)?;
    let old = status(token);
    if old.attempts != Some(registrant.attempt) {
        return Err(Refusal::Superseded);
    }
    binding::check(token.spec.binding.as_ref(), &known(&old, registrant.hardware))?;
    tpm::check(token, registrant.endorsement)?;
    is_free(token, host, registrant.key)?;
    let registration = BootRegistration {
        public_key: registrant.key.pem(),
        at: Time(now),
        address: registrant.address.map(|address| address.to_canonical().to_string()),
        hardware: binding::bounded(registrant.hardware.clone()),
        host_uid: None,
    };
    let (phase, registration) = (Some(BootTokenPhase::Consumed), Some(registration));
    Ok(Next::Record(Box::new(BootTokenStatus { phase, registration, ..old })))
}

/// What is known of a machine that registers. It has its credential from the boot that is recorded, so it
/// has the interfaces of that one too: the installed system may not show them, because all ports of a bond
/// have one address.
fn known(status: &BootTokenStatus, said: &HostHardware) -> HostHardware {
    let booted = status.machine.iter().flat_map(|machine| &machine.mac_addresses);
    let mac_addresses = booted.chain(&said.mac_addresses).cloned().collect();
    HostHardware { mac_addresses, ..said.clone() }
}

/// What is left to do for a machine whose registration is recorded.
///
/// # Errors
///
/// If its Host cannot be created.
pub fn finish(
    token: &BootToken,
    registration: &BootRegistration,
    host: Option<&Host>,
) -> Result<Next, Refusal> {
    let is_ours = |host: &Host| {
        let key = PublicKey::parse(&registration.public_key);
        key.is_ok() && PublicKey::parse(&host.spec.public_key) == key
    };
    match (&registration.host_uid, host) {
        (None, None) => Ok(Next::Create(Box::new(new_host(token, registration)))),
        (None, Some(host)) if is_ours(host) => {
            Ok(Next::Adopt(host.metadata.uid.clone().unwrap_or_default()))
        }
        (Some(uid), Some(host)) if host.metadata.uid.as_ref() == Some(uid) => Ok(Next::Done),
        (None, Some(_)) => Err(Refusal::HostNameTaken(token.spec.host_name.clone())),
        (Some(_), _) => Err(Refusal::HostDeleted),
    }
}

/// The status which records that the Host with this UID was created.
pub fn created(token: &BootToken, uid: &str) -> Option<BootTokenStatus> {
    let mut new = status(token);
    let registration = new.registration.as_mut()?;
    if registration.host_uid.is_some() {
        return None;
    }
    registration.host_uid = Some(uid.to_owned());
    Some(new)
}

fn is_free(token: &BootToken, host: Option<&Host>, key: &PublicKey) -> Result<(), Refusal> {
    match host {
        Some(host) if PublicKey::parse(&host.spec.public_key).as_ref() != Ok(key) => {
            Err(Refusal::HostNameTaken(token.spec.host_name.clone()))
        }
        Some(_) | None => Ok(()),
    }
}

fn new_host(token: &BootToken, registration: &BootRegistration) -> Host {
    let public_key = registration.public_key.clone();
    let mut host = Host::new(&token.spec.host_name, HostSpec { public_key, active_release: None });
    host.metadata = ObjectMeta {
        name: host.metadata.name,
        namespace: token.metadata.namespace.clone(),
        annotations: token.metadata.name.clone().map(|name| [(BY_TOKEN.to_owned(), name)].into()),
        ..ObjectMeta::default()
    };
    host
}
