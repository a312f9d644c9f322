//! Carries out the decisions of [`metal_core::machine::operations`] about reboots and
//! installations.

mod bmcs;
mod callback;
mod nodes;

pub(crate) use bmcs::{Access, Bmcs};
pub use callback::{CallbackError, installer_is_done};
pub(crate) use nodes::Nodes;

use jiff::SignedDuration;
use metal_base::Locked;
use metal_core::machine::operations::Memory;
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

    /// Forgets a deleted Machine, and returns what was remembered.
    pub(crate) fn forget(&self, name: &str) -> Option<Memory> {
        self.0.locked().remove(name)
    }
}

/// The current time of a monotonic clock.
pub(crate) fn moment() -> SignedDuration {
    SignedDuration::try_from(clock::since_boot()).unwrap_or(SignedDuration::MAX)
}
