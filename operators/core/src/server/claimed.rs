//! A server that has just been claimed.

use super::{
    Change, ClaimSeen, Decision,
    available::{is_new, wait_for_off},
    bound_claim,
    power::{Force, may_come_up, switch_off, unless_fresh},
    reserved::reserved,
    turn::Turn,
};
use crate::redfish::SystemReading;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{Pending, PendingKind, Power, ServerState};

/// `Available`, and claimed a moment ago. Whatever runs on the host belongs to nobody, and the
/// claim gets a host that is off. Only then does the server become `Reserved`, where a running host
/// is the claim's.
pub(super) fn claimed(turn: &mut Turn<'_>, system: &SystemReading) -> Decision {
    if matches!(turn.seen.claim, ClaimSeen::Gone) && has_come_to_nothing(turn) {
        return Decision::Change(Change::ReleaseClaim);
    }
    if is_new(turn) {
        if let Some(look) = unless_fresh(turn.seen) {
            return look;
        }
        let force = Force::when(turn.settings.enforce_power_off);
        let off = switch_off(turn, system, force);
        if let Some(wait) = off.or_else(|| may_come_up(turn.seen)) {
            wait_for_off(turn, system);
            return wait;
        }
        let before = turn.new.pending.take().map_or(turn.seen.now, |pending| pending.since.0);
        turn.new.state = Some(ServerState::Reserved);
        let then = reserved(turn, system);
        keep_off(turn, before);
        return then;
    }
    turn.new.state = Some(ServerState::Reserved);
    turn.new.pending = None;
    reserved(turn, system)
}

/// Whether the claim took the server, and was gone before it got the host: nothing has been done for
/// it. It did exist, as the reference has its UID. The claim of a server that was restored from a
/// backup may have had the host since, and is yet to be restored.
fn has_come_to_nothing(turn: &Turn<'_>) -> bool {
    let reference = turn.seen.server.spec.server_claim_ref.as_ref();
    let entered = turn.new.state_since.as_ref();
    reference.is_some_and(|reference| reference.uid.is_some())
        && entered.is_some_and(|at| bound_claim::is_of_this_life(at.0, turn.seen.server))
        && !bound_claim::was_bound(&turn.new, turn.seen.server)
}

/// Records with the new state that the host is off, and stays off until its claim boots it: since
/// before the claim had it.
fn keep_off(turn: &mut Turn<'_>, since: Timestamp) {
    let ClaimSeen::Holds(claim) = turn.seen.claim else { return };
    if claim.spec.power == Power::On && turn.new.pending.is_none() {
        let since = Time(since.min(turn.seen.now - SignedDuration::from_secs(1)));
        turn.new.pending = Some(Pending { kind: PendingKind::PowerOff, since });
    }
}
