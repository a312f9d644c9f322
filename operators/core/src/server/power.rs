//! Powers a host off: ask, wait, and cut the power only if that is allowed.

use super::{Decision, Need, Observation, Settings, last_step::is_from, turn::Turn};
use crate::redfish::{PowerState, ResetType, Step, SystemReading};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{Pending, PendingKind, ServerStatus, condition};
use std::cmp::Ordering;

/// How old a reading may be on which a machine is changed.
pub(super) const FRESH: SignedDuration = SignedDuration::from_secs(5);
/// How long a BMC may still report `Off` after it was told to power on.
pub(super) const START: SignedDuration = SignedDuration::from_mins(1);
/// How soon to look at a host that was told to change its power state a moment ago: no operating
/// system shuts down, and hardly any BMC powers on, in less.
const SOONEST: SignedDuration = SignedDuration::from_secs(1);
/// How soon to look again at a host whose power state the BMC does not report.
const UNKNOWN: SignedDuration = SignedDuration::from_secs(30);
/// How long to wait for a host that another process may have asked to shut down.
const ANOTHER: SignedDuration = SignedDuration::from_mins(1);
/// How long a host takes at most to show that it is shutting down, if it does.
const SHOWN: SignedDuration = SignedDuration::from_secs(5);
/// How long a host that nobody here has told to go off must read `Off` before it is booted.
pub const CERTAIN: SignedDuration = SignedDuration::from_mins(1);
/// The reason of a host that is to be on, and is not yet.
const IS_TO_COME_ON: &str = "WaitingForPowerOn";
/// The request to the operating system.
const ASK: Step = Step::Reset(ResetType::GracefulShutdown);

/// Whether the power of a host that ignores a shutdown may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Force {
    /// After the grace period.
    Allowed,
    /// Never: it may lose somebody's data.
    Never,
}

impl Force {
    pub(super) fn when(allowed: bool) -> Self {
        if allowed { Self::Allowed } else { Self::Never }
    }
}

/// Records that the host is to be off, and returns the next step toward that from its current
/// state; `None` if it is off.
pub(super) fn switch_off(
    turn: &mut Turn<'_>,
    system: &SystemReading,
    force: Force,
) -> Option<Decision> {
    if system.power == PowerState::Off {
        return None;
    }
    let since = intend(turn, PendingKind::PowerOff);
    Some(off(turn, system, since, force))
}

/// Records an operation. One that is already recorded keeps its start time, which is returned.
pub(super) fn intend(turn: &mut Turn<'_>, kind: PendingKind) -> Timestamp {
    if let Some(pending) = turn.new.pending.as_ref().filter(|pending| pending.kind == kind) {
        return pending.since.0;
    }
    let now = turn.seen.now;
    turn.new.pending = Some(Pending { kind, since: Time(now) });
    now
}

/// How soon to look again while the power state changes: soon after a step, then less and less
/// frequently, with each pause as long as the time since the step.
pub(super) fn poll(seen: &Observation<'_>, settings: &Settings) -> SignedDuration {
    let is_unknown = |system: &SystemReading| system.power == PowerState::Unknown;
    if seen.system.and_then(|reading| reading.result.as_ref().ok()).is_some_and(is_unknown) {
        return UNKNOWN.min(settings.resync);
    }
    let looked = seen.system.map_or(seen.now, super::Reading::answered);
    let after = seen.last_step.map_or(settings.power_polling, |it| looked.duration_since(it.at));
    after.max(SOONEST).min(settings.power_polling)
}

/// Waits before the first look at a host that was told to change its power state a moment ago. A host
/// whose power was cut is looked at right away: most are off at once.
pub(super) fn is_changing(seen: &Observation<'_>) -> Option<Decision> {
    let told = seen.last_step.filter(|last_step| match &last_step.step {
        Step::Reset(reset) => *reset != ResetType::ForceOff,
        Step::BootOnce { .. }
        | Step::IndicatorLed(_)
        | Step::BootOrder(_)
        | Step::InsertMedium { .. }
        | Step::EjectMedium { .. } => false,
    })?;
    let left = SOONEST - seen.now.duration_since(told.at);
    (left.is_positive() && left <= SOONEST).then_some(Decision::Rest(left))
}

/// The next step of a shutdown that was decided on at `since`. The power is cut a grace period
/// after the request and not after the decision: whatever came in between, the operating system
/// gets its time. A process that has not asked itself asks before it cuts the power.
pub(super) fn off(
    turn: &Turn<'_>,
    system: &SystemReading,
    since: Timestamp,
    force: Force,
) -> Decision {
    let (seen, settings) = (turn.seen, turn.settings);
    let grace = settings.shutdown_grace;
    let asked =
        seen.last_step.and_then(|last_step| last_step.asked).filter(|at| is_from(*at, since));
    let waited = asked.map(|at| seen.now.duration_since(at));
    let overdue = force == Force::Allowed && waited.is_some_and(|waited| waited >= grace);
    let can_ask = system.can_be_asked();
    // The button is for a host that is on: one that is starting soon will be, and one that is
    // shutting down was asked.
    let changes = matches!(system.power, PowerState::PoweringOn | PowerState::PoweringOff);
    let has_time = seen.now.duration_since(since.max(seen.started)) < grace;
    let asks_soon = changes && has_time && system.has_button();
    let is_hopeless = !can_ask && !asks_soon && asked.is_none();
    let ask = Decision::Act(ASK);
    match system.power {
        // The power of a host is never cut without knowing that it is on.
        PowerState::Off | PowerState::Unknown => Decision::Rest(poll(seen, settings)),
        _ if overdue || (is_hopeless && force == Force::Allowed) => {
            Decision::Act(Step::Reset(ResetType::ForceOff))
        }
        // It was asked by somebody else, and hangs.
        PowerState::PoweringOff
            if force == Force::Allowed
                && asked.is_none()
                && seen.now.duration_since(since.max(seen.started)) >= grace =>
        {
            ask
        }
        PowerState::PoweringOff => Decision::Rest(poll(seen, settings)),
        PowerState::On | PowerState::PoweringOn | PowerState::Paused => {
            if can_ask && !asked_by_another_process(seen, since) {
                ask
            } else {
                Decision::Rest(poll(seen, settings))
            }
        }
    }
}

/// Whether the previous process may have asked already: it recorded the intent, and may have ended
/// before or after the request. Asking twice could reach a host that is up again, so the host gets
/// a minute. A decision recorded in the second of our start belongs to the previous process only if
/// we have recorded nothing yet; then it is asked again as soon as a host that got the request
/// would show it.
fn asked_by_another_process(seen: &Observation<'_>, since: Timestamp) -> bool {
    let asked_here =
        seen.last_step.is_some_and(|last_step| last_step.step == ASK || last_step.asked.is_some());
    let patience = match since.as_second().cmp(&seen.started.as_second()) {
        Ordering::Less => ANOTHER,
        Ordering::Equal if seen.recorded.is_none() => SHOWN,
        Ordering::Equal | Ordering::Greater => return false,
    };
    !asked_here && seen.now.duration_since(since) < patience
}

/// When the host was last powered on, as far as is known, if that was decided on at `intended`. A
/// process that did not do it itself does not know how long its predecessor waited in between, so
/// it counts from its own start. A host that restarts itself gets the time again, but only for one
/// restart within `time`.
pub(super) fn switched_on(
    intended: Timestamp,
    time: SignedDuration,
    system: &SystemReading,
    seen: &Observation<'_>,
) -> Timestamp {
    let here =
        seen.last_step.and_then(|last_step| last_step.on).unwrap_or(seen.started).max(intended);
    let by_bmc = system.last_reset.filter(|at| *at <= seen.now);
    by_bmc.map_or(here, |at| at.min(here + time).max(here))
}

/// Whether a host that reads `Off` may still be starting: it was told to power on a moment ago, and
/// has not been seen on since, or the previous process may have told it right before it ended.
/// `Some` says until when to look again.
pub(super) fn may_come_up(seen: &Observation<'_>) -> Option<Decision> {
    let recorded = seen.server.status.as_ref().and_then(|status| status.pending.as_ref());
    let told_before =
        || recorded.is_some_and(|it| it.kind == PendingKind::NetworkBoot).then_some(seen.started);
    let told = match seen.last_step {
        Some(last_step) if last_step.on.is_some() => last_step.on.filter(|_| last_step.starts > 0),
        Some(last_step) if last_step.switches_off() => None,
        Some(_) | None => told_before(),
    };
    let left = (told? + START).duration_since(seen.system?.at);
    left.is_positive().then_some(Decision::Rest(left))
}

/// Waits until a host is certainly off that was on a moment ago, and that nobody here has told to go
/// off: for a while, BMCs that are starting report a running host as off (OpenBMC, until it has
/// found out). What it runs would be taken for what we boot, and its next restart would boot from
/// the network.
pub(super) fn unless_certainly_off(turn: &mut Turn<'_>) -> Option<Decision> {
    turn.seen.off_for.filter(|off_for| *off_for < CERTAIN)?;
    let message = "the host was on, and is now reported as off: it is booted if its BMC still \
                   says so in a minute";
    turn.waits(IS_TO_COME_ON, message);
    Some(Decision::Rest(poll(turn.seen, turn.settings)))
}

/// Whether a host was on when its status was recorded, or off and not certainly so: a process that
/// starts then has to make certain itself. While a change of its power is pending, that it was read as
/// off counts, so that it goes on even if no process lives for long enough to make certain.
pub fn was_on(status: &ServerStatus) -> bool {
    let ready = status.conditions.iter().find(|it| it.type_ == condition::READY);
    let is_uncertain = ready.is_some_and(|ready| ready.reason == IS_TO_COME_ON);
    let is_on = status.power_state == Some(metal_api::PowerState::On);
    is_on || (is_uncertain && status.pending.is_none())
}

/// Looks again if the last reading is too old for a decision that gives the host to somebody else.
pub(super) fn unless_fresh(seen: &Observation<'_>) -> Option<Decision> {
    let age = seen.system.map(|reading| seen.now.duration_since(reading.answered()));
    let is_fresh = age.is_some_and(|age| !age.is_negative() && age <= FRESH);
    (!is_fresh).then_some(Decision::Look(Need::System))
}
