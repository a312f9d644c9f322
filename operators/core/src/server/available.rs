//! Servers that may be claimed.

use super::{
    Change, ClaimSeen, Decision, Need, Observation, bound_claim, media,
    power::{Force, switch_off},
    status,
    turn::Turn,
};
use crate::redfish::{IndicatorLed, PowerState, Step, SystemReading};
use metal_api::{ClaimPhase, PendingKind, ServerState, condition};

/// `Available`: off, without a boot configuration, and kept that way.
pub(super) fn available(turn: &mut Turn<'_>, system: &SystemReading) -> Decision {
    let force = Force::when(turn.settings.enforce_power_off);
    let off = switch_off(turn, system, force);
    if off.is_none() {
        turn.new.pending = None;
        turn.ready();
    } else {
        wait_for_off(turn, system);
    }
    if turn.seen.server.spec.boot_configuration_ref.is_some() {
        return Decision::Change(Change::DropConfiguration);
    }
    off.or_else(|| media::eject(turn))
        .or_else(|| locator_led(turn.seen, system))
        .or_else(|| missing_parts(turn))
        .unwrap_or(Decision::Rest(turn.settings.resync))
}

/// Whether the host of a claim that has not booted it yet was powered on from outside, if this
/// process has seen it off: its button was pressed, or mains power returned. The sign is a shutdown
/// that began before the claim had the server, recorded in the state that began with the claim. A
/// shutdown from before the object was restored does not count.
pub(super) fn came_up_by_itself(turn: &Turn<'_>) -> bool {
    let pending = turn.new.pending.as_ref().filter(|it| it.kind == PendingKind::PowerOff);
    let bound = turn.new.conditions.iter().find(|it| it.type_ == condition::CLAIM_BOUND);
    let entered = turn.new.state_since.as_ref().map(|since| since.0);
    pending.zip(bound).zip(entered).is_some_and(|((pending, bound), entered)| {
        pending.since.0.as_second() < entered.as_second()
            && bound.last_transition_time.0.as_second() == entered.as_second()
            && bound_claim::is_of_this_life(entered, turn.seen.server)
    })
}

/// Whether the claim has not had this server before, as far as is known. A host that it had before
/// is its own.
pub(super) fn is_new(turn: &Turn<'_>) -> bool {
    let ClaimSeen::Holds(claim) = turn.seen.claim else { return false };
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_ref());
    turn.new.state == Some(ServerState::Available)
        && phase != Some(&ClaimPhase::Bound)
        && !bound_claim::was_bound(&turn.new, turn.seen.server)
}

/// Reads parts again that were missing when the server was discovered. An inventory counts as long
/// as it is cached.
fn missing_parts(turn: &mut Turn<'_>) -> Option<Decision> {
    let type_ = condition::INVENTORY_COMPLETE;
    turn.new.conditions.iter().find(|c| c.type_ == type_ && c.status == "False")?;
    let Some(inventory) = turn.seen.inventory else { return Some(Decision::Look(Need::Inventory)) };
    status::take_inventory(&mut turn.new, inventory, turn.seen.now);
    None
}

/// Says what a person should know about a host that is to be off.
pub(super) fn wait_for_off(turn: &mut Turn<'_>, system: &SystemReading) {
    let message = if turn.settings.enforce_power_off {
        "the host is shutting down; its power is cut if that takes too long"
    } else if !system.can_be_asked() {
        "the BMC supports neither GracefulShutdown nor PushPowerButton: power off the host by \
         hand, or set --enforce-power-off"
    } else {
        "the host is shutting down; if it does not, power it off by hand, or set \
         --enforce-power-off"
    };
    turn.waits("WaitingForPowerOff", message);
}

/// The step that sets the locator LED to `spec.indicatorLED`. A BMC without one, or a value that
/// Redfish does not have, is ignored.
pub(super) fn locator_led(seen: &Observation<'_>, system: &SystemReading) -> Option<Decision> {
    let wanted = seen.server.spec.indicator_led.as_ref()?.to_string();
    let wanted = wanted.parse::<IndicatorLed>().ok()?;
    // Some LEDs can only light up, or only blink: the BMC did what it can.
    let told = seen.last_step.is_some_and(|last_step| last_step.step == Step::IndicatorLed(wanted));
    let is_on = |led| led != IndicatorLed::Off;
    let is_near = |actual| told && is_on(actual) && is_on(wanted);
    let differs = system.indicator_led.is_some_and(|led| led != wanted && !is_near(led));
    (differs && system.power != PowerState::Unknown)
        .then_some(Decision::Act(Step::IndicatorLed(wanted)))
}
