//! Limits downloads per account and per registry, so that a slow one does not block the others.

use super::account::Account;
use crate::reference::Registry;
use metal_base::Locked;
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Downloads from one registry at a time; machines that boot together mostly boot the same image.
const OF_ONE: usize = 8;
/// Downloads on one account at a time.
const OF_ACCOUNT: usize = 2;
/// Downloads at a time in total; each has a block in memory.
const IN_ALL: usize = 64;

pub(super) struct Slots {
    all: Arc<Semaphore>,
    by_registry: Each<Registry>,
    by_account: Each<Account>,
}

/// A semaphore for each key that is in use.
type Each<Key> = Mutex<HashMap<Key, Arc<Semaphore>>>;

/// Permission to download, until it is dropped.
pub(super) struct Slot {
    _of_account: Option<OwnedSemaphorePermit>,
    _of_one: OwnedSemaphorePermit,
    _in_all: OwnedSemaphorePermit,
}

impl Default for Slots {
    fn default() -> Self {
        let (by_registry, by_account) = (Mutex::default(), Mutex::default());
        Self { all: Arc::new(Semaphore::new(IN_ALL)), by_registry, by_account }
    }
}

impl Slots {
    /// Waits for a slot; `None` if the semaphore is closed, which does not happen.
    pub(super) async fn acquire(&self, registry: &Registry, account: &Account) -> Option<Slot> {
        // The account's own first, then the registry's: waiting for these blocks nobody else.
        let of_account = if account.is_limited() {
            Some(of(&self.by_account, account, OF_ACCOUNT).acquire_owned().await.ok()?)
        } else {
            None
        };
        let of_one = of(&self.by_registry, registry, OF_ONE).acquire_owned().await.ok()?;
        let in_all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Slot { _of_account: of_account, _of_one: of_one, _in_all: in_all })
    }
}

fn of<Key: Clone + Eq + Hash>(each: &Each<Key>, key: &Key, permits: usize) -> Arc<Semaphore> {
    let mut all = each.locked();
    // Drops semaphores that are not in use.
    all.retain(|_, slots| Arc::strong_count(slots) > 1);
    let new = || Arc::new(Semaphore::new(permits));
    Arc::clone(all.entry(key.clone()).or_insert_with(new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_registry_does_not_keep_another_waiting() {
        let (slots, nobody) = (Slots::default(), Account::default());
        let [slow, other] = ["slow.example", "other.example"].map(|name| name.parse().unwrap());
        let mut held = vec![];
        for _ in 0..OF_ONE {
            held.push(slots.acquire(&slow, &nobody).await);
        }
        let mut ninth = Box::pin(slots.acquire(&slow, &nobody));
        assert!(futures::poll!(&mut ninth).is_pending());
        assert!(futures::poll!(Box::pin(slots.acquire(&other, &nobody))).is_ready());
        held.pop();
        assert!(futures::poll!(&mut ninth).is_ready());
    }

    #[tokio::test]
    async fn one_account_does_not_keep_another_waiting_at_the_same_registry() {
        let slots = Slots::default();
        let registry = "registry.example".parse().unwrap();
        let [slow, other] = ["slow", "other"].map(Account::of);
        let mut held = vec![];
        for _ in 0..OF_ACCOUNT {
            held.push(slots.acquire(&registry, &slow).await);
        }
        let mut more: Vec<_> =
            (0..OF_ONE).map(|_| Box::pin(slots.acquire(&registry, &slow))).collect();
        for waiting in &mut more {
            assert!(futures::poll!(waiting).is_pending());
        }
        assert!(futures::poll!(Box::pin(slots.acquire(&registry, &other))).is_ready());
        held.pop();
        assert!(futures::poll!(&mut more[0]).is_ready());
    }
}
