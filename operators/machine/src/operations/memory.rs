//! What a process remembers about a machine between passes. None of it is authoritative: a
//! restarted process makes the same decisions without it.

use super::{Done, EvictionRound, Evictions, Reading};
use jiff::SignedDuration;
use metal_api::{Machine, MachineOperation, MachineRedfish};
use metal_core::redfish::{PowerState, ResetType, Step};

/// What is remembered. Times are relative to an arbitrary moment, by a monotonic clock.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The machine that this is about.
    machine: Option<Identity>,
    /// Its generation that was last decided on.
    generation: Option<i64>,
    /// The step that the actions belong to.
    step: Option<MachineOperation>,
    /// When that step was first seen, and when its installer had last made progress.
    seen: Option<SignedDuration>,
    progressed: Option<SignedDuration>,
    reading: Option<(SignedDuration, Reading)>,
    draining: Option<SignedDuration>,
    evictions: Evictions,
    asked: Option<SignedDuration>,
    forced: Option<SignedDuration>,
    on: Option<SignedDuration>,
    changing: Option<(PowerState, SignedDuration)>,
    asked_first: Option<SignedDuration>,
    forced_first: Option<SignedDuration>,
    on_first: Option<SignedDuration>,
    last: Option<SignedDuration>,
    arms: u32,
    armed: Option<Outcome>,
    refusals: u32,
}

/// What identifies a machine.
type Identity = (Option<String>, Option<MachineRedfish>, Option<String>);

/// The outcome of a request to a BMC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The BMC accepted it.
    Taken,
    /// The BMC refused it.
    Refused,
    /// Unknown: there was no response.
    Unknown,
}

impl Memory {
    /// Forgets readings of another machine, actions for another step, and, once the spec has changed, why
    /// there was no reading: whoever asks for something may have mended that before. Returns the BMC that this
    /// was about, if that is another one now.
    pub fn keep_to(&mut self, machine: &Machine, now: SignedDuration) -> Option<MachineRedfish> {
        let status = machine.status.as_ref();
        let pin = status.and_then(|it| it.redfish.clone()).and_then(|it| it.cert_fingerprint);
        let redfish = machine.spec.pxe.as_ref().and_then(|pxe| pxe.redfish.clone());
        let identity = (machine.metadata.uid.clone(), redfish, pin);
        let mut former = None;
        if self.machine.as_ref() != Some(&identity) {
            former = self.machine.take().and_then(|(_, before, _)| before);
            former = former.filter(|before| identity.1.as_ref() != Some(before));
            *self = Self { machine: Some(identity), ..Self::default() };
        }
        let generation = machine.metadata.generation;
        let step = status.and_then(|it| it.operations.as_ref()).and_then(|it| it.current.clone());
        let key =
            |it: &Option<MachineOperation>| it.as_ref().map(|it| (it.step.clone(), it.attempt));
        let is_same = key(&self.step) == key(&step);
        let progress = |it: &Option<MachineOperation>| {
            let progress = it.as_ref().and_then(|it| it.progress.as_ref());
            progress.map(|it| (it.phase.clone(), it.written))
        };
        let progressed = if is_same && progress(&self.step) != progress(&step) {
            Some(now)
        } else {
            self.progressed
        };
        let is_asked_anew = self.generation != generation;
        let (machine, reading) = (self.machine.take(), self.reading.take());
        let reading = reading.filter(|(_, reading)| reading.is_ok() || !is_asked_anew);
        let before = std::mem::take(self);
        *self = if is_same {
            Self { machine, generation, step, progressed, reading, ..before }
        } else {
            let seen = step.is_some().then_some(now);
            Self { machine, generation, step, seen, reading, ..Self::default() }
        };
        former
    }

    /// The BMC that this is about.
    pub fn redfish(&self) -> Option<&MachineRedfish> {
        self.machine.as_ref().and_then(|(_, redfish, _)| redfish.as_ref())
    }

    /// When the system was read.
    pub fn read(&mut self, reading: Reading, at: SignedDuration) {
        match reading.as_ref().map(|system| system.power) {
            Ok(power @ (PowerState::PoweringOn | PowerState::PoweringOff)) => {
                let before = self.changing.filter(|(before, _)| *before == power);
                self.changing = before.or(Some((power, at)));
            }
            Ok(PowerState::On | PowerState::Off | PowerState::Paused) => self.changing = None,
            Ok(PowerState::Unknown) | Err(_) => {}
        }
        self.reading = Some((at, reading));
    }

    /// The last reading of the system.
    pub fn reading(&self) -> Option<&Reading> {
        self.reading.as_ref().map(|(_, reading)| reading)
    }

    /// The same, with its age.
    pub fn aged(&self, now: SignedDuration) -> Option<(SignedDuration, &Reading)> {
        self.reading.as_ref().map(|(at, reading)| (now - *at, reading))
    }

    /// The system must be read again before anything else.
    pub fn forget_reading(&mut self) {
        self.reading = None;
    }

    /// Pods are being evicted.
    pub fn drains(&mut self, at: SignedDuration) {
        self.draining.get_or_insert(at);
    }

    /// A round of evictions has ended.
    pub fn evicted(&mut self, round: EvictionRound) {
        self.evictions.ended(round);
    }

    /// The rounds of evictions so far.
    pub fn evictions(&self) -> &Evictions {
        &self.evictions
    }

    /// A step was sent to the BMC, so earlier readings are outdated.
    pub fn acted(&mut self, step: &Step, outcome: Outcome, at: SignedDuration) {
        self.reading = None;
        self.last = Some(at);
        match outcome {
            Outcome::Taken => self.refusals = 0,
            Outcome::Refused => self.refusals = self.refusals.saturating_add(1),
            Outcome::Unknown => {}
        }
        if matches!(step, Step::BootOnce { .. }) {
            // A BMC that does not support setting the boot source may support everything else.
            (self.arms, self.refusals) = (self.arms.saturating_add(1), 0);
            self.armed = Some(outcome);
        }
        let (first, taken) = match step {
            Step::Reset(ResetType::GracefulShutdown) => (&mut self.asked_first, &mut self.asked),
            Step::Reset(ResetType::ForceOff) => (&mut self.forced_first, &mut self.forced),
            Step::Reset(ResetType::On) => (&mut self.on_first, &mut self.on),
            Step::Reset(
                ResetType::ForceOn
                | ResetType::GracefulRestart
                | ResetType::ForceRestart
                | ResetType::PowerCycle
                | ResetType::PushPowerButton
                | ResetType::Other,
            )
            | Step::BootOnce { .. }
            | Step::IndicatorLed(_)
            | Step::BootOrder(_)
            | Step::InsertMedium { .. }
            | Step::EjectMedium { .. } => return,
        };
        first.get_or_insert(at);
        if outcome == Outcome::Taken {
            taken.get_or_insert(at);
        }
    }

    /// What was done for the step, in the form that a decision takes.
    pub fn done(&self, now: SignedDuration) -> Done {
        let ago = |at: Option<SignedDuration>| at.map(|at| now - at);
        Done {
            here: ago(self.seen),
            progressed: ago(self.progressed),
            draining: ago(self.draining),
            asked: ago(self.asked),
            forced: ago(self.forced),
            on: ago(self.on),
            changing: ago(self.changing.map(|(_, at)| at)),
            asked_first: ago(self.asked_first),
            forced_first: ago(self.forced_first),
            on_first: ago(self.on_first),
            last: ago(self.last),
            arms: self.arms,
            armed: self.armed,
            refusals: self.refusals,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::ReadError;
    use metal_core::redfish::{SystemReading, Unreachable};

    #[test]
    fn why_a_bmc_could_not_be_read_is_forgotten_when_something_is_asked_for() {
        let silent = || Err(ReadError::Silent(Unreachable::Unauthorized));
        let mut machine = Machine::new("a", metal_api::MachineSpec::default());
        machine.metadata.generation = Some(1);
        let mut memory = Memory::default();
        for (reading, is_kept) in [(silent(), false), (Ok(SystemReading::default()), true)] {
            memory.keep_to(&machine, SignedDuration::ZERO);
            memory.read(reading, SignedDuration::ZERO);
            memory.keep_to(&machine, SignedDuration::ZERO);
            assert!(memory.reading().is_some());
            machine.metadata.generation = machine.metadata.generation.map(|it| it + 1);
            memory.keep_to(&machine, SignedDuration::ZERO);
            assert_eq!(memory.reading().is_some(), is_kept);
        }
    }

    #[test]
    fn a_bmc_that_a_machine_no_longer_has_is_told_once() {
        let mut machine = Machine::new("a", metal_api::MachineSpec::default());
        let mut memory = Memory::default();
        let at = |machine: &mut Machine, url: Option<&str>| {
            let redfish =
                url.map(|url| MachineRedfish { url: url.to_owned(), ..Default::default() });
            machine.spec.pxe.get_or_insert_default().redfish = redfish;
        };
        for (url, expected) in [
            (Some("https://192.0.2.1"), None),
            (Some("https://192.0.2.1"), None),
            (Some("https://192.0.2.2"), Some("https://192.0.2.1")),
            (Some("https://192.0.2.2"), None),
            (None, Some("https://192.0.2.2")),
            (None, None),
        ] {
            at(&mut machine, url);
            let former = memory.keep_to(&machine, SignedDuration::ZERO).map(|it| it.url);
            assert_eq!(former.as_deref(), expected, "{url:?}");
        }
        // Another pin does not mean another BMC.
        at(&mut machine, Some("https://192.0.2.1"));
        memory.keep_to(&machine, SignedDuration::ZERO);
        let redfish = machine.status.get_or_insert_default().redfish.get_or_insert_default();
        redfish.cert_fingerprint = Some("00:01".to_owned());
        assert_eq!(memory.keep_to(&machine, SignedDuration::ZERO), None);
    }
}
