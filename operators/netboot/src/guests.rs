//! The addresses that answers go to, shared by all servers of the process.

use metal_core::guests;
use std::{
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Guests(Arc<Mutex<guests::Guests>>);

impl Default for Guests {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(guests::Guests::new(Instant::now()))))
    }
}

impl Guests {
    /// Somebody has this address for certain.
    pub(crate) fn note(&self, address: impl Into<IpAddr>) {
        self.locked().note(address.into().to_canonical());
    }

    /// Whether somebody was known to have this address.
    pub(crate) fn knows(&self, address: IpAddr) -> bool {
        self.locked().knows(address.to_canonical())
    }

    /// Whether an answer may go to this address now.
    pub(crate) fn admits(&self, address: impl Into<IpAddr>) -> bool {
        self.locked().admits(address.into().to_canonical(), Instant::now())
    }

    fn locked(&self) -> MutexGuard<'_, guests::Guests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
