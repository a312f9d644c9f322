//! One life of one host: from a reset until the next one.

use super::{
    fetch::Fetcher,
    fleet::Fleet,
    journal::Event,
    machine::{Machine, State},
};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// One life of one host.
pub(super) struct Life {
    pub(super) fleet: Arc<Fleet>,
    pub(super) index: u32,
    number: u64,
    ends: CancellationToken,
}

impl Life {
    /// A new one, which ends the one before.
    pub(super) fn begin(fleet: &Arc<Fleet>, index: u32, state: &mut State) -> Self {
        state.life_ends.cancel();
        state.life_ends = fleet.stop.child_token();
        state.life += 1;
        Self { fleet: Arc::clone(fleet), index, number: state.life, ends: state.life_ends.clone() }
    }

    /// Ends with it.
    pub(super) fn ends(&self) -> CancellationToken {
        self.ends.clone()
    }

    /// This machine.
    pub(super) fn machine(&self) -> &Machine {
        &self.fleet.machines()[self.index as usize]
    }

    /// What it asks with over HTTP: from its own address, or else from the one of all machines.
    pub(super) fn fetcher(&self) -> Fetcher {
        let own = self.machine().lock().fetcher.clone();
        own.unwrap_or_else(|| self.fleet.fetcher.clone())
    }

    /// Changes the machine, unless another life has begun by now.
    pub(super) fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> Option<R> {
        let mut state = self.machine().lock();
        (state.life == self.number).then(|| change(&mut state))
    }

    /// Writes to the journal, unless another life has begun by now.
    pub(super) fn note(&self, event: Event, detail: impl Into<String>) {
        self.with(|state| state.journal.note(event, detail));
    }
}
