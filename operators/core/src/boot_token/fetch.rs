//! A machine asks for its script: another boot begins.

use super::{Refusal, is_open, status};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{BootToken, BootTokenPhase, BootTokenStatus};
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

/// Decides about a machine that asks for its script, from this address.
///
/// # Errors
///
/// If it gets none.
pub fn fetch(token: &BootToken, from: Option<IpAddr>, now: Timestamp) -> Result<Fetch, Refusal> {
    let from = from.map(|address| address.to_canonical().to_string());
    if is_open(token, now)? == BootTokenPhase::Installed {
        return Err(Refusal::Installed);
    }
    let old = status(token);
    let attempt = old.attempts.unwrap_or_default();
    let is_recent = old.fetched_at.as_ref().is_some_and(|at| {
        let since = now.duration_since(at.0);
        since < SAME && since > -SAME
    });
    if attempt > 0 && is_recent && old.fetched_from == from {
        return Ok(Fetch::Answer { attempt });
    }
    let attempts = Some(attempt.saturating_add(1));
    let (phase, fetched_at) = (Some(BootTokenPhase::Fetched), Some(Time(now)));
    let fetched_from = from;
    let progress = None;
    let new = BootTokenStatus { phase, attempts, fetched_at, fetched_from, progress, ..old };
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
