//! The MAC prefix database as it is now.

use metal_core::macdb::MacDb;
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// The database; nothing inside where none is configured, or before it is read.
#[derive(Debug, Default)]
pub(crate) struct MacPrefixes(OnceLock<watch::Receiver<Arc<MacDb>>>);

impl MacPrefixes {
    /// The database as it is now.
    pub(crate) fn current(&self) -> Option<Arc<MacDb>> {
        self.0.get().map(|database| Arc::clone(&database.borrow()))
    }

    /// From now on, it is what `database` says. The first call counts.
    pub(crate) fn set(&self, database: watch::Receiver<Arc<MacDb>>) {
        self.0.get_or_init(|| database);
    }
}
