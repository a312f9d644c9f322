//! Counters for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A counter that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn inc(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Counters of a fleet since its creation.
#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) requests: Counter,
    pub(crate) connections: Counter,
    pub(crate) logins: Counter,
    pub(crate) refused: Counter,
    pub(crate) unreachable: Counter,
    pub(crate) skipped: Counter,
}

impl Counters {
    /// HTTP requests sent, logins and logouts included.
    pub fn requests(&self) -> u64 {
        self.requests.get()
    }

    /// TCP connections opened.
    pub fn connections(&self) -> u64 {
        self.connections.get()
    }

    /// Sessions asked for.
    pub fn logins(&self) -> u64 {
        self.logins.get()
    }

    /// Credentials refused by a BMC.
    pub fn refused(&self) -> u64 {
        self.refused.get()
    }

    /// Requests without a usable answer.
    pub fn unreachable(&self) -> u64 {
        self.unreachable.get()
    }

    /// Requests not sent because the BMC had not answered, or had refused the credentials.
    pub fn skipped(&self) -> u64 {
        self.skipped.get()
    }
}
