//! How soon a step may be carried out again, and whether what runs is what this process has started.

use super::{Observation, last_step::is_from};
use crate::redfish::{ResetType, Step};
use jiff::SignedDuration;
use metal_api::{ServerState, ServerStatus};

/// How soon to repeat a step that had no effect; doubles with each repetition.
const REPEAT: SignedDuration = SignedDuration::from_secs(5);
/// How soon to repeat a reset that had no effect: the host may be busy with it.
const REPEAT_RESET: SignedDuration = SignedDuration::from_mins(1);
/// How soon to press the power button of the discovery system again: it powers off within seconds
/// if the press has reached it.
const REPEAT_PRESS: SignedDuration = SignedDuration::from_secs(15);
/// The longest interval between repetitions of a step.
const REPEAT_AT_LEAST: SignedDuration = SignedDuration::from_mins(10);

/// How long a step has to wait because it was carried out a moment ago.
pub(super) fn repeated_too_soon(step: &Step, seen: &Observation<'_>) -> Option<SignedDuration> {
    let last_step = seen.last_step.filter(|last_step| last_step.step == *step)?;
    let first = match step {
        Step::Reset(ResetType::ForceOff) | Step::BootOnce { .. } => REPEAT,
        Step::Reset(ResetType::GracefulShutdown) if is_ours(seen) => REPEAT_PRESS,
        Step::Reset(_)
        | Step::IndicatorLed(_)
        | Step::BootOrder(_)
        | Step::InsertMedium { .. }
        | Step::EjectMedium { .. } => REPEAT_RESET,
    };
    let doubled = first * 2_i32.saturating_pow(last_step.count.saturating_sub(1).min(10));
    let wait = doubled.min(REPEAT_AT_LEAST) - seen.now.duration_since(last_step.at);
    wait.is_positive().then_some(wait)
}

/// Whether what runs is the discovery system that we booted, and nothing of anybody else.
pub(super) fn is_ours(seen: &Observation<'_>) -> bool {
    seen.server.status.as_ref().is_some_and(|status| {
        let is_recorded = status.pending.is_some() || is_switched_on_here(status, seen);
        status.state == Some(ServerState::Discovery) && is_recorded
    })
}

/// Whether this process has powered the host on in its current state. If so, the recorded intent is
/// not needed, should somebody have dropped it.
pub(super) fn is_switched_on_here(status: &ServerStatus, seen: &Observation<'_>) -> bool {
    let on = seen.last_step.and_then(|last_step| last_step.on);
    on.zip(status.state_since.as_ref()).is_some_and(|(on, since)| is_from(on, since.0))
}
