//! A machine in somebody else's data center boots from one secret URL, and becomes a `Host`.
//!
//! ```text
//!         first script          first report           Done               registration
//!  Issued ──────────► Fetched ──────────────► Installing ──────► Installed ────────────► Consumed
//!     │                  │   ◄──────┐              │                 │
//!     │                  │    second script: another boot, which voids what the one before was given
//!     └──────────────────┴──────────┴──────────────┴─────────────────┴───► Expired, Revoked
//! ```
//!
//! The secret leaves the URL at the first exchange, which begins nothing: whoever opens the URL gets
//! a capability ([`Purpose::Boot`]) to ask for the second script. With that a machine says which one it
//! is, and a boot begins ([`second_script`]). Everything else is fetched with a capability of this boot
//! ([`Purpose::Install`]), which the next boot voids. The installed system gets another one
//! ([`Purpose::HostRegistration`]), with which it can register one key, once.
//! What a machine says about itself is compared ([`binding`]), and proves nothing; its TPM does
//! ([`tpm`]).
//!
//! [`Purpose::Boot`]: crate::capability::Purpose::Boot
//! [`Purpose::Install`]: crate::capability::Purpose::Install
//! [`Purpose::HostRegistration`]: crate::capability::Purpose::HostRegistration

pub mod binding;
pub mod decide;
pub mod fetch;
pub mod installer;
pub mod kickstart;
pub mod login;
pub mod order;
pub mod progress;
pub mod register;
pub mod script;
pub mod second_script;
pub mod secret;
pub mod tpm;

use jiff::{SignedDuration, Timestamp};
use metal_api::{BootStep, BootToken, BootTokenPhase, BootTokenStatus, Host};

/// Why a token is of no use to a machine. Strangers are never told which of these it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
pub enum Refusal {
    /// There is no such token.
    #[error("there is no such token")]
    Unknown,
    /// Two tokens have the same hash.
    #[error("another BootToken has the same tokenSHA256")]
    Ambiguous,
    /// It has expired.
    #[error("the token has expired")]
    Expired,
    /// A person has revoked it.
    #[error("the token is revoked")]
    Revoked,
    /// A machine has registered with it.
    #[error("the token is consumed")]
    Consumed,
    /// The machine has reported that it is installed, and only the installed system is answered.
    #[error("the machine is installed already")]
    Installed,
    /// The machine has booted again since, or another one has.
    #[error("superseded by a later boot with the same token")]
    Superseded,
    /// Another machine is being installed with it.
    #[error("another machine is being installed: {0}")]
    InUse(String),
    /// It is bound to another machine.
    #[error("it is not the machine that the token is bound to: {0}")]
    Unfit(String),
    /// There is a Host of that name, with another key.
    #[error("Host {0} exists, and has another key")]
    HostNameTaken(String),
    /// There is a Host of that name, and it is unknown which machine it is.
    #[error("Host {0} exists, but is not kept: it cannot be read, or its namespace has too many")]
    HostUnreadable(String),
    /// The Host that the machine had become was deleted.
    #[error("its Host has been deleted")]
    HostDeleted,
}

/// Until when a machine can begin to boot with the token; `None` if that cannot be told, and then
/// it is void.
pub fn expiry(token: &BootToken) -> Option<Timestamp> {
    let created = token.metadata.creation_timestamp.as_ref()?.0;
    let ttl = metal_base::duration::parse(&token.spec.ttl).ok()?;
    let expiry = created.checked_add(SignedDuration::try_from(ttl).ok()?).ok()?;
    // One that was restored from a backup is as old as before.
    let recorded = token.status.as_ref().and_then(|status| status.expires_at.as_ref());
    let others = token.spec.not_after.iter().chain(recorded).map(|time| time.0);
    Some(others.fold(expiry, Timestamp::min))
}

/// How long an installation may take, even if the token expires in the meantime.
pub const INSTALLATION: SignedDuration = SignedDuration::from_hours(4);

/// When the token becomes void unless it is consumed before: a machine whose disk was cleared may finish what it
/// began in time. `None` as for [`expiry`].
pub fn deadline(token: &BootToken) -> Option<Timestamp> {
    let expiry = expiry(token)?;
    let begun = token.status.as_ref().filter(|status| status.attempts > Some(0));
    let begun = begun.and_then(|status| status.fetched_at.as_ref());
    let late = begun.and_then(|begun| begun.0.min(expiry).checked_add(INSTALLATION).ok());
    Some(late.map_or(expiry, |late| late.max(expiry)))
}

/// How long an expired token is kept: for people who look for the reason, and for a machine that has registered
/// in time, but received no response.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// Until when an installed machine may ask whether it has become its Host; [`register::register`]
/// decides whether it has, or may become it now. `None` as for [`expiry`].
pub fn kept_until(token: &BootToken) -> Option<Timestamp> {
    deadline(token)?.checked_add(KEPT).ok()
}

/// How far the machine is, by what is recorded and the time. A clock that was ahead has ended nothing
/// for good: what a token has expired by is its own time, however often that was found to be over.
pub fn phase(token: &BootToken, now: Timestamp) -> BootTokenPhase {
    let status = status(token);
    if status.registration.is_some() {
        return BootTokenPhase::Consumed;
    }
    if token.spec.revoked || token.metadata.deletion_timestamp.is_some() {
        return BootTokenPhase::Revoked;
    }
    if let Some(over @ (BootTokenPhase::Consumed | BootTokenPhase::Revoked)) = status.phase {
        return over;
    }
    if deadline(token).is_none_or(|deadline| deadline <= now) {
        return BootTokenPhase::Expired;
    }
    match status.progress.map(|progress| progress.step) {
        Some(BootStep::Done) => BootTokenPhase::Installed,
        Some(_) => BootTokenPhase::Installing,
        None if status.fetched_at.is_some() || status.attempts > Some(0) => BootTokenPhase::Fetched,
        None => BootTokenPhase::Issued,
    }
}

/// Whether a machine that has not registered can still use the token.
///
/// # Errors
///
/// If it cannot.
pub(crate) fn is_open(token: &BootToken, now: Timestamp) -> Result<BootTokenPhase, Refusal> {
    match phase(token, now) {
        BootTokenPhase::Consumed => Err(Refusal::Consumed),
        BootTokenPhase::Revoked => Err(Refusal::Revoked),
        BootTokenPhase::Expired => Err(Refusal::Expired),
        open @ (BootTokenPhase::Issued
        | BootTokenPhase::Fetched
        | BootTokenPhase::Installing
        | BootTokenPhase::Installed) => Ok(open),
    }
}

/// The status, as far as there is one.
fn status(token: &BootToken) -> BootTokenStatus {
    token.status.clone().unwrap_or_default()
}

/// A machine that has not registered is no Host yet, so the Host of its name is another machine. This one could
/// never register, so nothing on its disk may be lost.
fn is_unclaimed(token: &BootToken, host: Option<&Host>) -> Result<(), Refusal> {
    match host {
        Some(_) => Err(Refusal::HostNameTaken(token.spec.host_name.clone())),
        None => Ok(()),
    }
}

/// Of two tokens with one hash, neither counts.
///
/// # Errors
///
/// If there is not exactly one.
pub fn only<T>(found: &[T]) -> Result<&T, Refusal> {
    match found {
        [] => Err(Refusal::Unknown),
        [one] => Ok(one),
        [_, _, ..] => Err(Refusal::Ambiguous),
    }
}

#[cfg(test)]
mod tests;
