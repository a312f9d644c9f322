//! Carries out the decisions of [`metal_machine::operations`] about reboots and
//! installations.

mod absent_bmcs;
mod bmcs;
mod callback;
mod nodes;
mod systems;

pub(crate) use bmcs::{Access, Bmcs};
pub(crate) use callback::{CallbackError, installer_is_done};
pub(crate) use nodes::Nodes;

use jiff::SignedDuration;
use metal_base::Locked;
use metal_core::redfish::Step;
use metal_machine::operations::{Memory, Outcome};
use metal_runtime::clock;
use std::{collections::HashMap, sync::Mutex};

/// What is remembered about each Machine. All of it may be lost.
#[derive(Debug, Default)]
pub(crate) struct Memories(Mutex<HashMap<String, Memory>>);

impl Memories {
    /// Reads or changes what is remembered about a Machine.
    pub(crate) fn with<T>(&self, name: &str, work: impl FnOnce(&mut Memory) -> T) -> T {
        let mut all = self.0.locked();
        work(all.entry(name.to_owned()).or_default())
    }

    /// A step that is about to be carried out.
    pub(crate) fn step<'a>(&'a self, name: &'a str, step: &'a Step) -> StepInProgress<'a> {
        StepInProgress { memories: self, name, step: Some(step), outcome: Outcome::Unknown }
    }

    /// Forgets a deleted Machine, and returns what was remembered.
    pub(crate) fn forget(&self, name: &str) -> Option<Memory> {
        self.0.locked().remove(name)
    }
}

/// A step that is being carried out. Unless it is known what became of it, that is unknown: the pass
/// may end in the middle of it.
#[must_use]
pub(crate) struct StepInProgress<'a> {
    memories: &'a Memories,
    name: &'a str,
    step: Option<&'a Step>,
    outcome: Outcome,
}

impl StepInProgress<'_> {
    /// It has ended like this.
    pub(crate) fn ended(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// It was not sent.
    pub(crate) fn not_sent(mut self) {
        self.step = None;
    }
}

impl Drop for StepInProgress<'_> {
    fn drop(&mut self) {
        let (Some(step), outcome) = (self.step, self.outcome) else { return };
        self.memories.with(self.name, |memory| memory.acted(step, outcome, moment()));
    }
}

/// The current time of a monotonic clock.
pub(crate) fn moment() -> SignedDuration {
    SignedDuration::try_from(clock::since_boot()).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_core::redfish::ResetType;

    #[test]
    fn a_step_that_a_pass_ends_in_counts_as_one_that_may_have_happened() {
        let (memories, step) = (Memories::default(), Step::Reset(ResetType::On));
        let on = || memories.with("a", |memory| memory.done(moment()));
        memories.step("a", &step).not_sent();
        assert!(on().on_first.is_none());
        drop(memories.step("a", &step));
        assert!(on().on_first.is_some() && on().on.is_none());
        memories.step("a", &step).ended(Outcome::Taken);
        assert!(on().on.is_some());
    }
}
