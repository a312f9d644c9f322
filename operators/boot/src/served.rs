//! What is served while the API server is unreachable.

use metal_base::Locked;
use std::sync::Mutex;

/// What is served while nothing has been listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Serving {
    /// This many stored boots.
    Boots(usize),
    /// The images of this many stored boots, because there is no key.
    Images(usize),
}

/// What is currently served while nothing has been listed, if anything.
#[derive(Debug, Default)]
pub(crate) struct CurrentServing(Mutex<Option<Serving>>);

impl CurrentServing {
    /// The current value.
    pub(crate) fn get(&self) -> Option<Serving> {
        *self.0.locked()
    }

    /// Replaces the value.
    pub(crate) fn set(&self, serving: Option<Serving>) {
        *self.0.locked() = serving;
    }
}
