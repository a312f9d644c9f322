//! The life of a host: from one reset to the next.

use super::{
    fetch::Fetcher,
    fleet::Fleet,
    journal::Event,
    machine::{Machine, State},
};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The life of a host.
pub(super) struct Life {
    pub(super) fleet: Arc<Fleet>,
    pub(super) index: u32,
    number: u64,
    ends: CancellationToken,
}

impl Life {
    /// Begins a new life, which ends the previous one.
    pub(super) fn begin(fleet: &Arc<Fleet>, index: u32, state: &mut State) -> Self {
        state.life_ends.cancel();
        state.life_ends = fleet.stop.child_token();
        state.life += 1;
        Self { fleet: Arc::clone(fleet), index, number: state.life, ends: state.life_ends.clone() }
    }

    /// Cancelled at its end.
    pub(super) fn ends(&self) -> CancellationToken {
        self.ends.clone()
    }

    /// This machine.
    pub(super) fn machine(&self) -> &Machine {
        &self.fleet.machines()[self.index as usize]
    }

    /// Its HTTP client: the machine's own, if it has its own address, or else the shared one.
    pub(super) fn fetcher(&self) -> Fetcher {
        let own = self.machine().lock().fetcher.clone();
        own.unwrap_or_else(|| self.fleet.fetcher.clone())
    }

    /// Changes the machine, unless a later life has begun.
    pub(super) fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> Option<R> {
        let mut state = self.machine().lock();
        (state.life == self.number).then(|| change(&mut state))
    }

    /// Writes to the journal, unless a later life has begun.
    pub(super) fn note(&self, event: Event, detail: impl Into<String>) {
        self.with(|state| state.journal.note(event, detail));
    }
}
