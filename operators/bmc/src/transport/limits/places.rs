//! The few places of the fleet for calls with long answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

/// All places.
#[derive(Debug)]
pub(crate) struct Places {
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A place that a call keeps.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) since: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(crate) fn new(count: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(count.max(1))), waiting: AtomicUsize::new(0) }
    }

    /// A place, if nobody else has it or waits for it.
    pub(crate) fn take_free(&self) -> Option<Place> {
        Arc::clone(&self.free).try_acquire_owned().ok().map(Place::of)
    }

    /// A place, once one is free; `None` after this time.
    pub(crate) async fn take(&self, within: Duration) -> Option<Place> {
        if let Some(place) = self.take_free() {
            return Some(place);
        }
        let _waiting = Waiting::at(&self.waiting);
        let permit = timeout(within, Arc::clone(&self.free).acquire_owned()).await;
        // The semaphore is never closed.
        permit.ok()?.ok().map(Place::of)
    }

    /// Whether somebody waits for a place.
    pub(crate) fn are_wanted(&self) -> bool {
        self.waiting.load(Relaxed) > 0
    }
}

impl Place {
    fn of(permit: OwnedSemaphorePermit) -> Self {
        Self { since: Instant::now(), _permit: permit }
    }
}

/// Somebody who waits, until that is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn at(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
