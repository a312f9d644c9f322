//! The current MAC prefix database.

use metal_core::macdb::MacDb;
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// The database; empty if none is configured, or before it has been read.
#[derive(Debug, Default)]
pub(crate) struct MacPrefixes(OnceLock<watch::Receiver<Arc<MacDb>>>);

impl MacPrefixes {
    /// The current database.
    pub(crate) fn current(&self) -> Option<Arc<MacDb>> {
        self.0.get().map(|database| Arc::clone(&database.borrow()))
    }

    /// Sets the source of the database. Only the first call counts.
    pub(crate) fn set(&self, database: watch::Receiver<Arc<MacDb>>) {
        self.0.get_or_init(|| database);
    }
}
