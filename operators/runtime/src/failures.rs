//! Failures in a row of each key, and for how long they delay the next pass over it.

use crate::error_class::{Class, ReconcileError};
use metal_base::{Chain, Locked, backoff::doubled};
use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

/// Limit of an error text that is remembered, in bytes: that of a condition.
const TEXT: usize = 32_768;

/// What a failed pass leaves behind until a later one succeeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// [`ReconcileError::reason`] of the error.
    pub reason: &'static str,
    /// The error and its sources.
    pub text: String,
    count: u32,
}

impl Failure {
    /// Whether it follows another failure without a success in between.
    pub fn is_repeated(&self) -> bool {
        self.count > 1
    }
}

/// Counts the consecutive failures of each key, and turns the count into a delay.
#[derive(Debug)]
pub struct Failures<Key> {
    failures: Mutex<HashMap<Key, Failure>>,
    /// Conflicts since the last pass that had none.
    conflicts: Mutex<HashMap<Key, u32>>,
}

impl<Key> Default for Failures<Key> {
    fn default() -> Self {
        Self { failures: Mutex::default(), conflicts: Mutex::default() }
    }
}

impl<Key: Eq + Hash> Failures<Key> {
    /// The watch brings what others wrote within this time, and then wakes the key. While it is interrupted, every
    /// further try is in vain.
    const CONFLICT: Duration = Duration::from_millis(100);
    const LAST_CONFLICT: Duration = Duration::from_secs(10);
    const FIRST: Duration = Duration::from_secs(1);
    const LAST: Duration = Duration::from_mins(5);
    const RESYNC: Duration = Duration::from_hours(1);

    /// The last failure of `key`, if no pass has succeeded since.
    pub fn last(&self, key: &Key) -> Option<Failure> {
        self.locked().get(key).cloned()
    }

    /// Forgets the failures of `key`; returns whether there were any.
    pub fn succeeded(&self, key: &Key) -> bool {
        self.locked().remove(key).is_some()
    }

    /// A pass over `key` had no conflict.
    pub(crate) fn had_no_conflict(&self, key: &Key) {
        self.conflicts.locked().remove(key);
    }

    /// Records a failure of `key`; returns how long to wait before a retry.
    pub fn failed(&self, key: Key, error: &impl ReconcileError) -> Duration {
        let class = error.class();
        if class == Class::Conflict {
            let mut conflicts = self.conflicts.locked();
            let count = conflicts.entry(key).or_default();
            let delay = doubled(Self::CONFLICT, *count, Self::LAST_CONFLICT);
            *count = count.saturating_add(1);
            return delay;
        }
        self.conflicts.locked().remove(&key);
        let mut failures = self.locked();
        let count = failures.get(&key).map_or(0, |failure| failure.count);
        let (reason, mut text) = (error.reason(), Chain(error).to_string());
        text.truncate(text.floor_char_boundary(TEXT));
        failures.insert(key, Failure { reason, text, count: count.saturating_add(1) });
        match class {
            Class::Rejected => Self::RESYNC,
            Class::Transient | Class::Conflict => doubled(Self::FIRST, count, Self::LAST),
        }
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Key, Failure>> {
        self.failures.locked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transient_failures_slow_down_and_success_forgives() {
        let failures = Failures::default();
        let next = || failures.failed("a", &Trouble(Class::Transient)).as_secs();
        assert_eq!([next(), next(), next()], [1, 2, 4]);
        assert_eq!([(); 99].map(|()| next())[98], 300);
        assert_eq!(failures.failed("b", &Trouble(Class::Transient)).as_secs(), 1);

        assert!(failures.succeeded(&"a") && !failures.succeeded(&"a"));
        assert_eq!((failures.last(&"a"), next()), (None, 1));
    }

    #[test]
    fn conflicts_are_not_remembered() {
        let failures = Failures::default();
        failures.failed("a", &Trouble(Class::Conflict));
        assert_eq!(failures.last(&"a"), None);
        failures.failed("a", &Trouble(Class::Rejected));
        assert_eq!(failures.last(&"a").map(|f| f.text), Some("trouble".to_owned()));
    }

    #[test]
    fn conflicts_that_do_not_end_are_tried_ever_more_slowly() {
        let failures = Failures::default();
        let next = || failures.failed("a", &Trouble(Class::Conflict)).as_millis();
        assert_eq!([next(), next(), next()], [100, 200, 400]);
        assert_eq!([(); 99].map(|()| next())[98], 10_000);
        failures.had_no_conflict(&"a");
        assert_eq!(next(), 100);
    }

    #[test]
    fn a_pass_that_failed_otherwise_had_no_conflict() {
        let failures = Failures::default();
        let next = || failures.failed("a", &Trouble(Class::Conflict)).as_millis();
        assert_eq!([next(), next()], [100, 200]);
        failures.failed("a", &Trouble(Class::Transient));
        assert_eq!(next(), 100);
    }

    #[derive(Debug, thiserror::Error)]
    #[error("trouble")]
    struct Trouble(Class);

    impl ReconcileError for Trouble {
        fn class(&self) -> Class {
            self.0
        }

        fn reason(&self) -> &'static str {
            "Trouble"
        }
    }
}
