//! Switching a host off: ask, wait, and cut the power only where that is allowed.

use super::{Decision, Observation, Settings, boot};
use crate::redfish::{PowerState, ResetType, Step, SystemReading};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{Pending, PendingKind, ServerStatus};

/// How soon to look at a host that was told to change its power a moment ago.
const SOONEST: SignedDuration = SignedDuration::from_millis(500);

/// Whether the power of a host that ignores a shutdown may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Force {
    /// After the grace period.
    Allowed,
    /// Never: somebody else's data may be on it.
    Never,
}

impl Force {
    pub(super) fn when(allowed: bool) -> Self {
        if allowed { Self::Allowed } else { Self::Never }
    }
}

/// Records that the host is to be off, and returns the step that leads there from its present
/// state. `None` if it is off.
pub(super) fn switch_off(
    new: &mut ServerStatus,
    seen: &Observation<'_>,
    settings: &Settings,
    system: &SystemReading,
    force: Force,
) -> Option<Decision> {
    if system.power == PowerState::Off {
        return None;
    }
    let since = intend(new, PendingKind::PowerOff, seen.now);
    Some(off(seen, settings, system, since, force))
}

/// Records an operation; one that is recorded already keeps its start time, which is returned.
pub(super) fn intend(new: &mut ServerStatus, kind: PendingKind, now: Timestamp) -> Timestamp {
    if let Some(pending) = new.pending.as_ref().filter(|pending| pending.kind == kind) {
        return pending.since.0;
    }
    new.pending = Some(Pending { kind, since: Time(now), attempts: None });
    now
}

/// How soon to look again while the power changes: soon after a step, then ever less often. The
/// pause after a look is as long as that look came after the step.
pub(super) fn poll(seen: &Observation<'_>, settings: &Settings) -> SignedDuration {
    let looked = seen.system.map_or(seen.now, |reading| reading.at);
    let after = seen.acted.map_or(settings.power_polling, |it| looked.duration_since(it.at));
    after.max(SOONEST).min(settings.power_polling)
}

/// The next step of a shutdown that was decided at `since`.
pub(super) fn off(
    seen: &Observation<'_>,
    settings: &Settings,
    system: &SystemReading,
    since: Timestamp,
    force: Force,
) -> Decision {
    let waited = seen.now.duration_since(since);
    let overdue = force == Force::Allowed && waited >= settings.shutdown_grace;
    let can_ask = boot::allows(&system.reset_types, &ResetType::GracefulShutdown);
    match system.power {
        // Nobody cuts the power of a host without knowing that it has any.
        PowerState::Off | PowerState::Unknown => Decision::Rest(poll(seen, settings)),
        _ if overdue || (!can_ask && force == Force::Allowed) => {
            Decision::Act(Step::Reset(ResetType::ForceOff))
        }
        PowerState::PoweringOff => Decision::Rest(poll(seen, settings)),
        PowerState::On | PowerState::PoweringOn | PowerState::Paused => {
            if can_ask && !asked_by_another_process(seen, since) {
                Decision::Act(Step::Reset(ResetType::GracefulShutdown))
            } else {
                Decision::Rest(poll(seen, settings))
            }
        }
    }
}

/// Whether the process before this one may have asked already: it recorded the intent, and nobody
/// knows whether it died before or after the request. Asking twice could reach a host that is up
/// again, so it gets a minute.
fn asked_by_another_process(seen: &Observation<'_>, since: Timestamp) -> bool {
    let minute = SignedDuration::from_mins(1);
    since < seen.started && seen.acted.is_none() && seen.now.duration_since(since) < minute
}
