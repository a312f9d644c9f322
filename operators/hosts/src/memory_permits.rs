//! Permits for what takes memory: configurations, each of which has 200 kB from when it is read until its host
//! has received it, and reads of objects. No organization can take all permits.

use metal_base::Locked;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Permits in total.
pub(crate) const ALL: usize = 128;
/// Permits of one organization.
pub(crate) const OF_ONE: usize = 16;

/// The places.
#[derive(Debug)]
pub(crate) struct MemoryPermits {
    all: Arc<Semaphore>,
    /// By namespace. One of which no place is taken or waited for is forgotten.
    of: Mutex<HashMap<String, Arc<Semaphore>>>,
    /// How many one organization may take.
    of_one: usize,
}

/// A permit, until it is dropped.
#[derive(Debug)]
pub(crate) struct MemoryPermit {
    _of_all: Option<OwnedSemaphorePermit>,
    _of_one: Option<OwnedSemaphorePermit>,
}

impl Default for MemoryPermits {
    fn default() -> Self {
        Self::new(ALL, OF_ONE)
    }
}

impl MemoryPermits {
    /// So many of all, and of one organization.
    pub(crate) fn new(all: usize, of_one: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), of: Mutex::default(), of_one }
    }

    /// Waits for a permit of this organization.
    pub(crate) async fn take(&self, namespace: &str) -> MemoryPermit {
        let of_one = self.of(namespace);
        // Neither semaphore is ever closed.
        let of_one = of_one.acquire_owned().await.ok();
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok();
        MemoryPermit { _of_all: of_all, _of_one: of_one }
    }

    fn of(&self, namespace: &str) -> Arc<Semaphore> {
        let mut of = self.of.locked();
        // As many as wait for a permit or have one, so no more than there are connections.
        of.retain(|_, places| Arc::strong_count(places) > 1);
        let places = of.entry(namespace.to_owned());
        Arc::clone(places.or_insert_with(|| Arc::new(Semaphore::new(self.of_one))))
    }

    /// How many places are taken.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> usize {
        ALL - self.all.available_permits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use tokio::task::unconstrained;

    /// A place, if there is one at once.
    fn take(places: &MemoryPermits, namespace: &str) -> Option<MemoryPermit> {
        unconstrained(places.take(namespace)).now_or_never()
    }

    #[tokio::test]
    async fn an_organization_takes_its_places_and_leaves_those_of_others() {
        const { assert!(OF_ONE * 8 <= ALL, "most of them are for others") };
        let places = MemoryPermits::default();
        let mut held = vec![];
        for _ in 0..OF_ONE {
            held.push(take(&places, "a").unwrap());
        }
        assert!(take(&places, "a").is_none());
        for org in 0..ALL / OF_ONE - 1 {
            for _ in 0..OF_ONE {
                held.push(take(&places, &org.to_string()).unwrap());
            }
        }
        assert!(take(&places, "b").is_none(), "all are taken");
        held.clear();
        assert!(take(&places, "a").is_some());
        assert!(places.of.lock().unwrap().len() <= 2, "who has none is forgotten");
    }
}
