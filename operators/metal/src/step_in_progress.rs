//! A step that is being carried out.

use crate::memory::{Memories, Memory, Now};
use jiff::Timestamp;
use metal_core::redfish::Step;

/// Why a step failed that did not end.
const INTERRUPTED: &str = "the BMC did not answer in time";

/// A step that is being carried out. However that ends, it is remembered, because the machine may
/// have received it: also if the pass ends in the middle of it.
#[must_use]
pub(crate) struct StepInProgress<'a> {
    memories: &'a Memories,
    name: &'a str,
    step: Option<Step>,
    since: Option<Timestamp>,
    done: Result<(), String>,
}

impl<'a> StepInProgress<'a> {
    /// A step on this server that is about to be carried out, and that belongs to an operation
    /// recorded at `since`.
    pub(crate) fn new(
        memories: &'a Memories,
        name: &'a str,
        step: Step,
        since: Option<Timestamp>,
    ) -> Self {
        Self { memories, name, step: Some(step), since, done: Err(INTERRUPTED.to_owned()) }
    }

    /// The BMC has accepted it, or not: why.
    pub(crate) fn ended(mut self, done: Result<(), String>) {
        self.done = done;
    }

    /// It was not sent. The facts have to be read again.
    pub(crate) fn withdrawn(mut self) {
        self.step = None;
        self.memories.edit(self.name, Memory::forget_readings);
    }
}

impl Drop for StepInProgress<'_> {
    fn drop(&mut self) {
        let Some(step) = self.step.take() else { return };
        let (now, since) = (Now::read(), self.since);
        self.memories.edit(self.name, |memory| {
            memory.act(step, now, self.done.is_ok(), since);
            if let Err(why) = std::mem::replace(&mut self.done, Ok(())) {
                memory.step_failed(why);
            }
        });
    }
}
