//! Limits downloads per registry, so that a slow one does not block the others.

use crate::reference::Registry;
use metal_base::Locked;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Downloads from one registry at a time; machines that boot together mostly boot the same image.
const OF_ONE: usize = 8;
/// Downloads at a time in total; each has a block in memory.
const IN_ALL: usize = 64;

pub(super) struct Slots {
    all: Arc<Semaphore>,
    by_registry: Mutex<HashMap<Registry, Arc<Semaphore>>>,
}

/// Permission to download, until it is dropped.
pub(super) struct Slot {
    _of_one: OwnedSemaphorePermit,
    _in_all: OwnedSemaphorePermit,
}

impl Default for Slots {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(IN_ALL)), by_registry: Mutex::default() }
    }
}

impl Slots {
    /// Waits for a slot; `None` if the semaphore is closed, which does not happen.
    pub(super) async fn acquire(&self, registry: &Registry) -> Option<Slot> {
        // The registry's own first: waiting for that one blocks nobody else.
        let of_one = self.of(registry).acquire_owned().await.ok()?;
        let in_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Slot { _of_one: of_one, _in_all: in_all })
    }

    fn of(&self, registry: &Registry) -> Arc<Semaphore> {
        let mut all = self.by_registry.locked();
        // Drops semaphores that are not in use.
        all.retain(|_, slots| Arc::strong_count(slots) > 1);
        let new = || Arc::new(Semaphore::new(OF_ONE));
        Arc::clone(all.entry(registry.clone()).or_insert_with(new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_registry_does_not_keep_another_waiting() {
        let slots = Slots::default();
        let [slow, other] = ["slow.example", "other.example"].map(|name| name.parse().unwrap());
        let mut held = vec![];
        for _ in 0..OF_ONE {
            held.push(slots.acquire(&slow).await);
        }
        let mut ninth = Box::pin(slots.acquire(&slow));
        assert!(futures::poll!(&mut ninth).is_pending());
        assert!(futures::poll!(Box::pin(slots.acquire(&other))).is_ready());
        held.pop();
        assert!(futures::poll!(&mut ninth).is_ready());
    }
}
