//! A server that has just been claimed.

use super::{
    Change, ClaimSeen, Decision, Need, Observation, Settings,
    available::{is_new, waits_for_off},
    bound_claim,
    power::{Force, intend, may_come_up, switch_off, unless_fresh},
    reserved::reserved,
    status::{self, Ready},
};
use crate::redfish::SystemReading;
use jiff::{SignedDuration, Timestamp};
use metal_api::{PendingKind, Power, ServerState, ServerStatus};

/// `Available`, and claimed a moment ago. Whatever runs on the host belongs to nobody, and the
/// claim gets a host that is off. Only then does the server become `Reserved`, where a running host
/// is the claim's.
pub(super) fn claimed(
    new: &mut ServerStatus,
    seen: &Observation<'_>,
    settings: &Settings,
    system: &SystemReading,
) -> Decision {
    match seen.claim {
        ClaimSeen::NotCached => return Decision::Look(Need::Claim),
        ClaimSeen::Gone if has_come_to_nothing(new, seen) => {
            return Decision::Change(Change::ReleaseClaim);
        }
        ClaimSeen::Gone | ClaimSeen::Holds(_) | ClaimSeen::Unclaimed => {}
    }
    if is_new(new, seen) {
        if let Some(look) = unless_fresh(seen) {
            return look;
        }
        let force = Force::when(settings.enforce_power_off);
        let off = switch_off(new, seen, settings, system, force);
        if let Some(wait) = off.or_else(|| may_come_up(seen)) {
            let waits = Ready::Waits("WaitingForPowerOff", waits_for_off(settings, system));
            status::ready(new, waits, seen.now);
            return wait;
        }
        let before = new.pending.take().map_or(seen.now, |pending| pending.since.0);
        new.state = Some(ServerState::Reserved);
        let then = reserved(new, seen, settings, system);
        keep_off(new, seen, before);
        return then;
    }
    new.state = Some(ServerState::Reserved);
    new.pending = None;
    reserved(new, seen, settings, system)
}

/// Whether the claim took the server, and was gone before it got the host: nothing has been done for
/// it. It did exist, as the reference has its UID. The claim of a server that was restored from a
/// backup may have had the host since, and is yet to be restored.
fn has_come_to_nothing(new: &ServerStatus, seen: &Observation<'_>) -> bool {
    let reference = seen.server.spec.server_claim_ref.as_ref();
    let created = seen.server.metadata.creation_timestamp.as_ref();
    let entered = new.state_since.as_ref();
    let is_of_this_life =
        entered.is_some_and(|entered| created.is_none_or(|created| entered.0 > created.0));
    reference.is_some_and(|reference| reference.uid.is_some())
        && is_of_this_life
        && !bound_claim::was_bound(new, seen.server)
}

/// Records with the new state that the host is off, and stays off until its claim boots it: since
/// before the claim had it.
fn keep_off(new: &mut ServerStatus, seen: &Observation<'_>, since: Timestamp) {
    let ClaimSeen::Holds(claim) = seen.claim else { return };
    if claim.spec.power == Power::On && new.pending.is_none() {
        intend(new, PendingKind::PowerOff, since.min(seen.now - SignedDuration::from_secs(1)));
    }
}
