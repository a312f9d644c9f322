//! A server that anybody may claim.

use super::{
    Change, Decision, Observation, Settings, media,
    power::{Force, switch_off},
    status::{self, Ready},
};
use crate::redfish::{IndicatorLed, PowerState, Step, SystemReading};
use metal_api::ServerStatus;

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
