//! What is remembered of a server between two passes. None of it is the truth: a process that
//! starts again knows nothing of it, and decides the same.

use jiff::Timestamp;
use metal_core::{
    bmc::Destination,
    redfish::{Inventory, Step},
    server::{Acted, MediaReading, Reading},
};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The memories of every server, and the readings that came by the way.
#[derive(Debug, Default)]
pub struct Memories {
    servers: Mutex<HashMap<String, Memory>>,
    /// Readings of systems whose server was not asked for yet, by BMC and URI.
    found: Mutex<HashMap<(Destination, String), Reading>>,
}

/// The memory of one server.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The last reading, and where it came from.
    pub reading: Option<(Destination, Reading)>,
    /// The last reading of the virtual drives, and where it came from.
    pub media: Option<(Destination, MediaReading)>,
    /// The parts.
    pub inventory: Option<Inventory>,
    /// The last step.
    pub acted: Option<Acted>,
    /// When the status was last recorded.
    pub recorded: Option<Timestamp>,
    /// A version of the object that has been written over: the cache is behind if it has it.
    pub overwritten: Option<String>,
    /// The boot that was prepared last, and when: the cache may not show it yet.
    pub prepared: Option<(String, Timestamp)>,
}

impl Memories {
    /// The memory of one server.
    pub fn of(&self, name: &str) -> Memory {
        locked(&self.servers).get(name).cloned().unwrap_or_default()
    }

    /// Changes the memory of one server.
    pub fn edit(&self, name: &str, edit: impl FnOnce(&mut Memory)) {
        edit(locked(&self.servers).entry(name.to_owned()).or_default());
    }

    /// Forgets a server that is gone.
    pub fn forget(&self, name: &str) {
        locked(&self.servers).remove(name);
    }

    /// Remembers a reading that the pass over a BMC took.
    pub fn found(&self, destination: &Destination, reading: Reading) {
        let Ok(system) = &reading.result else { return };
        let key = (destination.clone(), system.uri.clone());
        locked(&self.found).insert(key, reading);
    }

    /// Takes the reading that the pass over a BMC took.
    pub fn take_found(&self, destination: &Destination, uri: &str) -> Option<Reading> {
        locked(&self.found).remove(&(destination.clone(), uri.to_owned()))
    }
}

impl Memory {
    /// A step was carried out: what was read before does not count any more.
    pub fn act(&mut self, step: Step, at: Timestamp) {
        let again = self.acted.as_ref().filter(|acted| acted.step == step);
        let count = again.map_or(1, |acted| acted.count.saturating_add(1));
        self.acted = Some(Acted { step, at, count });
        self.reading = None;
        self.media = None;
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
