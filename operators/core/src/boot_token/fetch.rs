//! The request for the first script. Anybody who opens the URL makes it, including a person or a link scanner,
//! so it neither begins nor ends anything; a boot begins with its second script ([`super::second_script`]).

use super::{Refusal, expiry, is_open, is_unclaimed, status, tpm};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{BootToken, BootTokenPhase, BootTokenStatus, Host};
use std::net::IpAddr;

/// The response to whoever opens the URL.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetch {
    /// The number of the boot that may begin with this script, from 1.
    pub proposal: i64,
    /// The status that records that the URL was opened; `None` if that is recorded already. It is for people,
    /// and nobody waits for it.
    pub opened: Option<Box<BootTokenStatus>>,
}

/// Decides about a request for the first script from this address. `host` is the Host of the token's host name.
///
/// # Errors
///
/// If there is no script.
pub fn fetch(
    token: &BootToken,
    host: Option<&Host>,
    from: Option<IpAddr>,
    now: Timestamp,
) -> Result<Fetch, Refusal> {
    // Which machine it is shows later: of a token that is bound to a TPM, another one may begin.
    let is_bound = tpm::bound(token).is_some();
    if is_open(token, now)? == BootTokenPhase::Installed && !is_bound {
        return Err(Refusal::Installed);
    }
    if expiry(token).is_none_or(|expiry| expiry <= now) {
        return Err(Refusal::Expired);
    }
    is_unclaimed(token, host)?;
    let old = status(token);
    let proposal = old.attempts.unwrap_or_default().saturating_add(1);
    let is_opened = old.fetched_at.is_some() || proposal > 1;
    let opened = (!is_opened).then(|| {
        let (phase, fetched_at) = (Some(BootTokenPhase::Fetched), Some(Time(now)));
        let fetched_from = from.map(|address| address.to_canonical().to_string());
        Box::new(BootTokenStatus { phase, fetched_at, fetched_from, ..old })
    });
    Ok(Fetch { proposal, opened })
}

/// Whether the URLs of the boot with this number are still valid.
///
/// # Errors
///
/// If they are not.
pub fn is_current(token: &BootToken, attempt: i64, now: Timestamp) -> Result<(), Refusal> {
    if is_open(token, now)? == BootTokenPhase::Installed {
        return Err(Refusal::Installed);
    }
    match status(token).attempts {
        Some(current) if current == attempt => Ok(()),
        Some(_) | None => Err(Refusal::Superseded),
    }
}

/// Whether the URLs of the boot with this number are still valid for an installation. `host` is the Host of the
/// token's host name.
///
/// # Errors
///
/// If they are not.
pub fn may_install(
    token: &BootToken,
    host: Option<&Host>,
    attempt: i64,
    now: Timestamp,
) -> Result<(), Refusal> {
    is_current(token, attempt, now)?;
    is_unclaimed(token, host)
}
