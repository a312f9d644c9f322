//! What is known of the images, and whose turn it is to fetch one.

use super::table::Table;
use crate::digest::Digest;
use metal_base::Locked;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, Weak},
};
use tokio::sync::{Mutex as Turns, OwnedMutexGuard};

pub(super) struct State {
    table: Mutex<Table>,
    /// Whoever fetches an image, and those who wait for the same one.
    turns: Mutex<HashMap<Digest, Weak<Turns<()>>>>,
}

impl State {
    pub(super) fn new(table: Table) -> Self {
        Self { table: Mutex::new(table), turns: Mutex::default() }
    }

    pub(super) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.locked()
    }

    /// The turn of an image, if nobody has it.
    pub(super) fn idle_turn(&self, digest: &Digest) -> Option<OwnedMutexGuard<()>> {
        self.turn(digest).try_lock_owned().ok()
    }

    pub(super) fn turn(&self, digest: &Digest) -> Arc<Turns<()>> {
        let mut turns = self.turns.locked();
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(digest).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(Turns::default());
        turns.insert(digest.clone(), Arc::downgrade(&turn));
        turn
    }
}
