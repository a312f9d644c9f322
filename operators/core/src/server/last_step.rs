//! What this process has done to a server, as far as the next decision depends on it. Deadlines
//! count from here and not from the recorded intent: between the two there may be a pause, or
//! another process.

use crate::redfish::{BootSource, PowerState, ResetType, Step};
use jiff::{SignedDuration, Timestamp};

/// A BMC that accepts none of this many consecutive requests is not going to.
const UNANSWERED: u32 = 3;
/// Length limit in bytes of the reason why a step failed.
const WHY: usize = 4_096;

/// The last step that this process carried out on a server, and the state that earlier steps have
/// led to.
#[derive(Clone, Debug, PartialEq)]
pub struct LastStep {
    /// The step.
    pub step: Step,
    /// When it was finished.
    pub at: Timestamp,
    /// How many times in a row it was carried out.
    pub count: u32,
    /// When the operating system was asked to shut down, if it has not been seen to: the first
    /// request that the BMC accepted.
    pub asked: Option<Timestamp>,
    /// When the host was powered on; `None` after a step that powers it off.
    pub on: Option<Timestamp>,
    /// How many times in a row the host was powered on without being seen on.
    pub starts: u32,
    /// What this process knows about the override of the next boot.
    pub armed: OverrideState,
    /// Why the step failed, in the words of the BMC if it answered; `None` if it was accepted.
    pub failed: Option<String>,
}

/// What a process knows about the override of the next boot from its own actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverrideState {
    /// Nothing: what the BMC reports counts if the previous process may have set it.
    #[default]
    Unknown,
    /// It was set to this.
    For(BootSource),
    /// The host was powered on with it. Some boards keep showing an override that was used.
    UsedUp,
}

impl OverrideState {
    /// The same after a step; `taken` is whether the BMC accepted it.
    fn after(self, step: &Step, taken: bool) -> Self {
        match step {
            Step::BootOnce { source, .. } if taken => Self::For(*source),
            Step::BootOnce { source, .. } => self.unless_replaced(*source),
            Step::Reset(
                ResetType::On
                | ResetType::ForceOn
                | ResetType::GracefulRestart
                | ResetType::ForceRestart
                | ResetType::PowerCycle,
            ) => Self::UsedUp,
            Step::Reset(_)
            | Step::IndicatorLed(_)
            | Step::BootOrder(_)
            | Step::InsertMedium { .. }
            | Step::EjectMedium { .. } => self,
        }
    }

    /// The same after a request for another source that was not accepted, but may have arrived.
    fn unless_replaced(self, source: BootSource) -> Self {
        match self {
            Self::For(before) if before != source => Self::Unknown,
            Self::For(_) | Self::Unknown | Self::UsedUp => self,
        }
    }
}

/// A step that was carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// The step.
    pub step: Step,
    /// When it was finished.
    pub at: Timestamp,
    /// Whether the BMC accepted the request.
    pub taken: bool,
    /// When the operation that it is part of was recorded: earlier requests belonged to another one.
    pub since: Option<Timestamp>,
}

impl LastStep {
    /// Whether the BMC took none of several requests in a row for this step.
    pub(super) fn is_refused(&self, step: &Step) -> bool {
        self.step == *step && self.count >= UNANSWERED
    }

    /// What to remember after another step.
    pub fn after(before: Option<&Self>, done: Done) -> Self {
        let Done { step, at, taken, since } = done;
        let again = before.filter(|before| is_again(&before.step, &step));
        let count = again.map_or(1, |before| before.count.saturating_add(1));
        let asked = before.and_then(|before| before.asked);
        let asked = asked.filter(|asked| since.is_none_or(|since| is_from(*asked, since)));
        let (on, starts) = before.map_or((None, 0), |before| (before.on, before.starts));
        let (asked, on, starts) = match step {
            Step::Reset(ResetType::GracefulShutdown) => {
                let counts = taken || count >= UNANSWERED;
                (asked.or(counts.then_some(at)), None, starts)
            }
            Step::Reset(ResetType::ForceOff) => (asked, None, starts),
            Step::Reset(ResetType::On | ResetType::ForceOn) => {
                (None, Some(at), starts.saturating_add(1))
            }
            Step::Reset(
                ResetType::GracefulRestart | ResetType::ForceRestart | ResetType::PowerCycle,
            ) => (None, Some(at), starts),
            Step::Reset(ResetType::PushPowerButton | ResetType::Other)
            | Step::BootOnce { .. }
            | Step::IndicatorLed(_)
            | Step::BootOrder(_)
            | Step::InsertMedium { .. }
            | Step::EjectMedium { .. } => (asked, on, starts),
        };
        let armed = before.map_or(OverrideState::Unknown, |before| before.armed);
        let armed = armed.after(&step, taken);
        Self { step, at, count, asked, on, starts, armed, failed: None }
    }

    /// The same, with the reason why it failed.
    #[must_use]
    pub fn failed_with(self, mut why: String) -> Self {
        why.truncate(why.floor_char_boundary(WHY));
        Self { failed: Some(why), ..self }
    }

    /// The same after the clock was set: all times move with it.
    #[must_use]
    pub fn moved(self, by: SignedDuration) -> Self {
        let moved = |at: Timestamp| at.checked_add(by).unwrap_or(at);
        Self { at: moved(self.at), asked: self.asked.map(moved), on: self.on.map(moved), ..self }
    }

    /// Whether the last step was to power the host off.
    pub(super) fn switches_off(&self) -> bool {
        matches!(self.step, Step::Reset(ResetType::GracefulShutdown | ResetType::ForceOff))
    }

    /// The host was observed in this power state.
    pub fn saw(&mut self, power: PowerState) {
        match power {
            PowerState::Off => {
                self.asked = None;
                if self.switches_off() {
                    self.count = 0;
                }
            }
            PowerState::On
            | PowerState::PoweringOn
            | PowerState::PoweringOff
            | PowerState::Paused => self.starts = 0,
            PowerState::Unknown => {}
        }
    }
}

/// Whether a step repeats another. The medium for the same boot gets a new URL after a while.
pub(super) fn is_again(before: &Step, step: &Step) -> bool {
    match (before, step) {
        (Step::InsertMedium { slot: before, .. }, Step::InsertMedium { slot, .. }) => {
            before == slot
        }
        _ => before == step,
    }
}

/// Whether something happened after a recorded time. The API server stores whole seconds, so what
/// was recorded in the second of an event may have come before it.
pub(super) fn is_from(at: Timestamp, recorded: Timestamp) -> bool {
    at.as_second() >= recorded.as_second()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASK: Step = Step::Reset(ResetType::GracefulShutdown);
    const ON: Step = Step::Reset(ResetType::On);

    #[test]
    fn a_shutdown_counts_from_the_first_request_that_the_bmc_took() {
        let refused = after(None, ASK, at(0), false, None);
        let taken = after(Some(&refused), ASK, at(60), true, None);
        let again = after(Some(&taken), ASK, at(180), true, None);
        assert_eq!([refused.asked, taken.asked, again.asked], [None, Some(at(60)), Some(at(60))]);
    }

    #[test]
    fn a_bmc_that_takes_no_request_is_not_waited_for_for_ever() {
        let mut last_step = after(None, ASK, at(0), false, None);
        for (second, asked) in [(60, None), (180, Some(180)), (420, Some(180))] {
            last_step = after(Some(&last_step), ASK, at(second), false, None);
            assert_eq!(last_step.asked, asked.map(at), "after {second} s");
        }
    }

    #[test]
    fn a_request_of_an_earlier_shutdown_does_not_count() {
        let earlier = after(None, ASK, at(0), true, None);
        let since = |since| after(Some(&earlier), ASK, at(60), true, Some(at(since))).asked;
        assert_eq!((since(0), since(30)), (Some(at(0)), Some(at(60))));

        let on = after(Some(&earlier), ON, at(30), true, None);
        assert_eq!((on.asked, on.on), (None, Some(at(30))));
        let mut off = earlier.clone();
        off.saw(PowerState::Off);
        assert_eq!(after(Some(&off), ASK, at(60), true, None).asked, Some(at(60)));
    }

    #[test]
    fn starts_count_until_the_host_is_seen_on() {
        let mut last_step = after(None, ON, at(0), true, None);
        let arm = Step::BootOnce { source: BootSource::Pxe, mode: None };
        for count in 2..4 {
            last_step.saw(PowerState::Off);
            last_step = after(Some(&last_step), arm.clone(), at(60), true, None);
            last_step = after(Some(&last_step), ON, at(61), true, None);
            assert_eq!(last_step.starts, count);
        }
        last_step.saw(PowerState::On);
        assert_eq!(last_step.starts, 0);
    }

    #[test]
    fn an_override_that_was_refused_does_not_count_as_armed() {
        let arm = |source| Step::BootOnce { source, mode: None };
        let on = after(None, ON, at(0), true, None);
        let refused = after(Some(&on), arm(BootSource::Pxe), at(60), false, None);
        let taken = after(Some(&refused), arm(BootSource::Pxe), at(120), true, None);
        let again = after(Some(&taken), arm(BootSource::Pxe), at(180), false, None);
        let other = after(Some(&taken), arm(BootSource::UefiHttp), at(180), false, None);
        let pxe = OverrideState::For(BootSource::Pxe);
        assert_eq!(
            [refused.armed, taken.armed, again.armed, other.armed],
            [OverrideState::UsedUp, pxe, pxe, OverrideState::Unknown],
        );
    }

    fn after(
        before: Option<&LastStep>,
        step: Step,
        at: Timestamp,
        taken: bool,
        since: Option<Timestamp>,
    ) -> LastStep {
        LastStep::after(before, Done { step, at, taken, since })
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second)
    }
}
