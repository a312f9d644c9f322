//! A server that anybody may claim.

use super::{
    Change, ClaimSeen, Decision, Observation, Settings, media,
    power::{Force, may_come_up, switch_off, unless_fresh},
    reserved::reserved,
    status::{self, Ready},
};
use crate::redfish::{IndicatorLed, PowerState, Step, SystemReading};
use metal_api::{ClaimPhase, ServerState, ServerStatus};

/// `Available`: off, without boot configuration, and kept so.
pub(super) fn available(
    new: &mut ServerStatus,
    seen: &Observation<'_>,
    settings: &Settings,
    system: &SystemReading,
) -> Decision {
    let force = Force::when(settings.enforce_power_off);
    let off = switch_off(new, seen, settings, system, force);
    if off.is_none() {
        new.pending = None;
        status::ready(new, Ready::Yes, seen.now);
    } else {
        status::ready(new, Ready::Waits("WaitingForPowerOff", waits_for_off(settings)), seen.now);
    }
    if seen.server.spec.boot_configuration_ref.is_some() {
        return Decision::Configure(Change::DropConfiguration);
    }
    off.or_else(|| media::eject(new, seen))
        .or_else(|| locator_led(seen, system))
        .unwrap_or(Decision::Rest(settings.resync))
}

/// `Available`, and claimed a moment ago: what runs there is nobody's, and the claim gets a host that
/// is off. Only then it is `Reserved`, where what runs is the claim's.
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
            let waits = Ready::Waits("WaitingForPowerOff", waits_for_off(settings));
            status::ready(new, waits, seen.now);
            return wait;
        }
        new.pending = None;
    }
    new.state = Some(ServerState::Reserved);
    reserved(new, seen, settings, system)
}

/// Whether the claim has not had this server before, as far as anybody knows. The host of one that
/// had it is its own.
pub(super) fn is_new(new: &ServerStatus, seen: &Observation<'_>) -> bool {
    let ClaimSeen::Holds(claim) = seen.claim else { return false };
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_ref());
    new.state == Some(ServerState::Available)
        && phase != Some(&ClaimPhase::Bound)
        && !status::was_bound(new, seen.server)
}

/// What a person should know about a host that is to be off.
pub(super) fn waits_for_off(settings: &Settings) -> &'static str {
    if settings.enforce_power_off {
        "the host is being shut down; its power is cut if that takes too long"
    } else {
        "the host is being shut down; if it ignores that, switch it off, or set --enforce-power-off"
    }
}

/// The step that makes the locator LED what `spec.indicatorLED` says. A BMC without one, or a
/// value that Redfish does not have, is left alone.
pub(super) fn locator_led(seen: &Observation<'_>, system: &SystemReading) -> Option<Decision> {
    let wanted = seen.server.spec.indicator_led.as_ref()?.to_string();
    let wanted = wanted.parse::<IndicatorLed>().ok()?;
    let differs = system.indicator_led.is_some_and(|actual| actual != wanted);
    (differs && system.power != PowerState::Unknown)
        .then_some(Decision::Act(Step::IndicatorLed(wanted)))
}
