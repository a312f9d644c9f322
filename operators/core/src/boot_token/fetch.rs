//! A machine asks for its script: another boot begins.

use super::{Refusal, binding::bounded, expiry, is_open, status};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{BootToken, BootTokenPhase, BootTokenStatus, Host, HostHardware};
use metal_base::Source;
use std::net::IpAddr;

/// Firmware that asks again so soon does so because an answer was lost: it is the same boot.
const SAME: SignedDuration = SignedDuration::from_secs(10);

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq)]
pub enum Fetch {
    /// It gets the script of this boot.
    Answer {
        /// The number of the boot, from 1.
        attempt: i64,
    },
    /// First this is recorded, and then it gets the script.
    Record(Box<BootTokenStatus>),
}

/// Decides about a machine that asks for its script, from this address. `host` is the Host of the
/// token's host name.
///
/// # Errors
///
/// If it gets none.
pub fn fetch(
    token: &BootToken,
    host: Option<&Host>,
    from: Option<IpAddr>,
    now: Timestamp,
) -> Result<Fetch, Refusal> {
    if is_open(token, now)? == BootTokenPhase::Installed {
        return Err(Refusal::Installed);
    }
    if expiry(token).is_none_or(|expiry| expiry <= now) {
        return Err(Refusal::Expired);
    }
    is_unclaimed(token, host)?;
    let old = status(token);
    let attempt = old.attempts.unwrap_or_default();
    let is_recent = old.fetched_at.as_ref().is_some_and(|at| {
        let since = now.duration_since(at.0);
        since < SAME && since > -SAME
    });
    let before: Option<IpAddr> = old.fetched_from.as_ref().and_then(|address| address.parse().ok());
    if attempt > 0 && is_recent && before.map(Source::from) == from.map(Source::from) {
        return Ok(Fetch::Answer { attempt });
    }
    let attempts = Some(attempt.saturating_add(1));
    let (phase, fetched_at) = (Some(BootTokenPhase::Fetched), Some(Time(now)));
    let fetched_from = from.map(|address| address.to_canonical().to_string());
    let (progress, machine) = (None, None);
    let new =
        BootTokenStatus { phase, attempts, fetched_at, fetched_from, progress, machine, ..old };
    Ok(Fetch::Record(Box::new(new)))
}

/// Whether what the boot of this number was given is still good.
///
/// # Errors
///
/// If it is not.
pub fn is_current(token: &BootToken, attempt: i64, now: Timestamp) -> Result<(), Refusal> {
    if is_open(token, now)? == BootTokenPhase::Installed {
        return Err(Refusal::Installed);
    }
    match status(token).attempts {
        Some(current) if current == attempt => Ok(()),
        Some(_) | None => Err(Refusal::Superseded),
    }
}

/// Whether what the boot of this number was given is still good for an installation. `host` is the
/// Host of the token's host name.
///
/// # Errors
///
/// If it is not.
pub fn may_install(
    token: &BootToken,
    host: Option<&Host>,
    attempt: i64,
    now: Timestamp,
) -> Result<(), Refusal> {
    is_current(token, attempt, now)?;
    is_unclaimed(token, host)
}

/// The status in which the machine of the current boot is recorded, by what it says about itself as
/// it loads its installer; `None` if it is recorded. Two machines behind one address may have been
/// given the same boot. One that says nothing is not told apart.
///
/// # Errors
///
/// If another machine was first.
pub fn claim(token: &BootToken, said: &HostHardware) -> Result<Option<BootTokenStatus>, Refusal> {
    let said = bounded(said.clone());
    let old = status(token);
    match &old.machine {
        _ if said == HostHardware::default() => Ok(None),
        Some(first) if *first == said => Ok(None),
        Some(_) => Err(Refusal::Superseded),
        None => Ok(Some(BootTokenStatus { machine: Some(said), ..old })),
    }
}

/// A machine that has not registered is no Host yet, so that of its name is another machine. This
/// one could never register: nothing on its disk may be lost for that.
fn is_unclaimed(token: &BootToken, host: Option<&Host>) -> Result<(), Refusal> {
    match host {
        Some(_) => Err(Refusal::HostNameTaken(token.spec.host_name.clone())),
        None => Ok(()),
    }
}
