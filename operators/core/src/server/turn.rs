//! A decision in the making.

use super::{
    Decision, Observation, Settings,
    status::{self, Ready},
};
use crate::conditions::{self, Fact};
use metal_api::{ServerStatus, condition};

/// A decision in the making: what it depends on, and the status that goes with it.
pub(super) struct Turn<'a> {
    /// The status, which is recorded before anything else is done.
    pub(super) new: ServerStatus,
    /// What was observed.
    pub(super) seen: &'a Observation<'a>,
    /// How servers are to be treated.
    pub(super) settings: &'a Settings,
}

impl Turn<'_> {
    /// Nothing is left to do.
    pub(super) fn ready(&mut self) {
        status::ready(&mut self.new, Ready::Yes, self.seen.now);
    }

    /// What is waited for: a CamelCase reason, and a message that says what a person must do, if
    /// anything.
    pub(super) fn waits(&mut self, reason: &str, message: &str) {
        status::ready(&mut self.new, Ready::Waits(reason, message), self.seen.now);
    }

    /// What did not work, and does not affect the use of the server.
    pub(super) fn fails(&mut self, reason: &str, message: &str) {
        let fact = Fact { type_: condition::RECONCILED, holds: false, reason, message };
        let generation = self.new.observed_generation;
        conditions::set(&mut self.new.conditions, fact, generation, self.seen.now);
    }

    /// Like [`Self::waits`], where nothing is to be done before that changes.
    pub(super) fn rests(&mut self, reason: &str, message: &str) -> Decision {
        self.waits(reason, message);
        Decision::Rest(self.settings.resync)
    }
}
