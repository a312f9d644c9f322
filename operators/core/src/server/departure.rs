//! Servers that are being deleted.

use super::{
    Change, ClaimSeen, Decision, Need, Observation, Settings, StillClaimed,
    decide::{decide, has_finalizer, ignores},
    status,
};
use crate::{failure::Failure, redfish::PowerState};
use jiff::{SignedDuration, Timestamp};
use metal_api::{PendingKind, Server};

/// For how long after the recorded shutdown a process that starts gives the host its time anew: otherwise
/// processes that end again and again would keep the server for ever.
const LONGEST: SignedDuration = SignedDuration::from_hours(1);

/// What to do with a server that is being deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Departure {
    /// Nothing holds it any longer: it may be removed.
    Go,
    /// A claim holds it; the deletion does not ask the claim to leave.
    Held(StillClaimed),
    /// A fact is missing: obtain it and decide again.
    Look(Need),
    /// Its claim is gone, but its host is still on: it stays until the host is off, for at most
    /// this long.
    Lives(SignedDuration),
}

/// Decides whether a server that is being deleted may be removed. A claim that is gone holds
/// nothing: the host is shut down as after any claim, if its BMC answers and the host obeys in
/// time; otherwise it stays as it is.
pub fn departure(seen: &Observation<'_>, settings: &Settings) -> Departure {
    if !has_finalizer(seen.server) {
        return Departure::Go;
    }
    match seen.claim {
        ClaimSeen::Unclaimed => {
            // Its reference was dropped, and is about to be written again.
            let held = seen.missed_by.map(|claim| StillClaimed {
                namespace: claim.metadata.namespace.clone().unwrap_or_default(),
                name: claim.metadata.name.clone().unwrap_or_default(),
            });
            return held.map_or(Departure::Go, Departure::Held);
        }
        ClaimSeen::Holds(_) => return Departure::Held(still_claimed(seen.server)),
        ClaimSeen::NotCached => return Departure::Look(Need::Claim),
        ClaimSeen::Gone => {}
    }
    if seen.access.is_err() || ignores(seen.server) {
        return Departure::Go;
    }
    let Some(reading) = seen.system else { return Departure::Look(Need::System) };
    let is_off = reading.result.as_ref().is_ok_and(|system| system.power == PowerState::Off);
    let left = settings.shutdown_grace * 2 - seen.now.duration_since(since(seen, settings));
    if reading.result.is_err() || is_off || !left.is_positive() {
        return Departure::Go;
    }
    Departure::Lives(left)
}

/// Since when a server whose claim is gone waits for its host. Its claim may have outlived the deletion by
/// days, so the time counts from the shutdown, which is recorded first.
fn since(seen: &Observation<'_>, settings: &Settings) -> Timestamp {
    let recorded = seen.server.status.as_ref().and_then(|status| status.pending.as_ref());
    if let Some(pending) = recorded.filter(|it| it.kind == PendingKind::PowerOff) {
        let since = pending.since.0;
        return since.max(seen.started).min(since.checked_add(LONGEST).unwrap_or(since));
    }
    let fails = seen.failure.is_some_and(|failure| failure.repeated);
    if !fails
        && let Decision::Record(status) = decide(seen, settings)
        && status.pending.as_ref().is_some_and(|it| it.kind == PendingKind::PowerOff)
    {
        return seen.now;
    }
    seen.server.metadata.deletion_timestamp.as_ref().map_or(seen.now, |at| at.0)
}

/// Like [`decide`], but also for a server that is being deleted.
pub fn decide_in_any_case(seen: &Observation<'_>, settings: &Settings) -> Decision {
    if seen.server.metadata.deletion_timestamp.is_none() {
        return decide(seen, settings);
    }
    match departure(seen, settings) {
        Departure::Go => Decision::Change(Change::RemoveFinalizer),
        Departure::Look(need) => {
            let old = seen.server.status.clone().unwrap_or_default();
            let told = status::with_failure(&old, seen);
            told.map_or(Decision::Look(need), |told| Decision::Record(Box::new(told)))
        }
        // It serves its claim until that is gone, and says so.
        Departure::Held(held) => {
            let then = decide(seen, settings);
            if matches!(then, Decision::Look(_)) {
                return then;
            }
            let failure = Failure { reason: "Claimed", text: held.to_string(), repeated: true };
            decide(&Observation { failure: Some(&failure), ..seen.clone() }, settings)
        }
        Departure::Lives(left) => {
            let then = decide(seen, settings);
            if let Decision::Rest(time) = then { Decision::Rest(time.min(left)) } else { then }
        }
    }
}

fn still_claimed(server: &Server) -> StillClaimed {
    let claim = server.spec.server_claim_ref.clone().unwrap_or_default();
    StillClaimed { namespace: claim.namespace, name: claim.name }
}
