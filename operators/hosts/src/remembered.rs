//! When something was last done for an object, or may be done again. Bounded in total, and for each
//! organization, so that none takes the room of the others.

use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// How many objects are remembered.
pub(crate) const OBJECTS: usize = 16_384;
/// How many of one namespace.
pub(crate) const OF_ONE: usize = OBJECTS / 4;

/// An object, and what is done for it; each pair is counted separately.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Done {
    /// Namespace of the object.
    pub(crate) namespace: String,
    /// Its UID.
    pub(crate) uid: String,
    /// What is done.
    pub(crate) what: &'static str,
}

/// A time for each.
#[derive(Debug, Default)]
pub(crate) struct Remembered {
    at: HashMap<Done, Instant>,
    namespaces: HashMap<String, usize>,
    /// When room was made last.
    swept: Option<Instant>,
}

impl Remembered {
    /// The time that is remembered.
    pub(crate) fn get(&self, done: &Done) -> Option<Instant> {
        self.at.get(done).copied()
    }

    /// Remembers a time. Returns whether there was room for it.
    pub(crate) fn insert(&mut self, done: Done, at: Instant) -> bool {
        if let Some(known) = self.at.get_mut(&done) {
            *known = at;
            return true;
        }
        if self.is_full(&done.namespace) {
            return false;
        }
        *self.namespaces.entry(done.namespace.clone()).or_default() += 1;
        self.at.insert(done, at);
        true
    }

    /// Forgets what `is_over`, if there is no room for one more of this namespace. Looks through all of them
    /// once in this time.
    pub(crate) fn make_room(
        &mut self,
        namespace: &str,
        every: Duration,
        is_over: impl Fn(Instant) -> bool,
    ) {
        if !self.is_full(namespace) || self.swept.is_some_and(|at| at.elapsed() < every) {
            return;
        }
        self.at.retain(|_, at| !is_over(*at));
        self.namespaces.clear();
        for done in self.at.keys() {
            *self.namespaces.entry(done.namespace.clone()).or_default() += 1;
        }
        self.swept = Some(Instant::now());
    }

    fn is_full(&self, namespace: &str) -> bool {
        let of_one = self.namespaces.get(namespace).copied().unwrap_or_default();
        self.at.len() >= OBJECTS || of_one >= OF_ONE
    }

    /// When room was made last, and how many are remembered.
    #[cfg(test)]
    pub(crate) fn state(&self) -> (Option<Instant>, usize) {
        (self.swept, self.at.len())
    }
}
