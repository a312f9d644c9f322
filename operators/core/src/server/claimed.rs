//! A server that has just been claimed.

use super::{
    ClaimSeen, Decision, Observation, Settings,
    available::{is_new, waits_for_off},
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

/// Records with the new state that the host is off, and stays off until its claim boots it: since
/// before the claim had it.
fn keep_off(new: &mut ServerStatus, seen: &Observation<'_>, since: Timestamp) {
    let ClaimSeen::Holds(claim) = seen.claim else { return };
    if claim.spec.power == Power::On && new.pending.is_none() {
        intend(new, PendingKind::PowerOff, since.min(seen.now - SignedDuration::from_secs(1)));
    }
}
