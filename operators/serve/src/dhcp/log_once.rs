//! Log messages that appear once for each of a limited number of values, as anybody can make up any
//! number of values.

use std::{
    collections::HashSet,
    hash::Hash,
    time::{Duration, Instant},
};

/// At most this many are logged, where nothing else is said.
const MOST: usize = 64;
/// After this time, values that have taken all of the room make room for others: those of a stranger
/// must not keep the others out of the log forever.
const FORGOTTEN: Duration = Duration::from_hours(1);

/// The values that were logged.
#[derive(Debug)]
pub struct LogOnce<T> {
    logged: HashSet<T>,
    most: usize,
    /// When the first of them was logged.
    since: Instant,
}

impl<T> Default for LogOnce<T> {
    fn default() -> Self {
        Self::with_room_for(MOST)
    }
}

impl<T> LogOnce<T> {
    /// At most this many values.
    pub fn with_room_for(most: usize) -> Self {
        Self { logged: HashSet::new(), most, since: Instant::now() }
    }
}

impl<T: Eq + Hash> LogOnce<T> {
    /// Whether this value is to be logged.
    pub fn is_due(&mut self, it: T) -> bool {
        self.is_due_at(it, Instant::now())
    }

    fn is_due_at(&mut self, it: T, now: Instant) -> bool {
        let is_full = self.logged.len() >= self.most;
        if is_full && now.duration_since(self.since) >= FORGOTTEN {
            self.logged.clear();
        }
        if self.logged.is_empty() {
            self.since = now;
        }
        self.logged.len() < self.most && self.logged.insert(it)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_logged_once_and_a_flood_fills_neither_memory_nor_log() {
        let mut once = LogOnce::default();
        let logged: Vec<_> = [7, 7, 8].map(|it| once.is_due(it)).into();
        assert_eq!(logged, [true, false, true]);
        let rest = (100..10_000).filter(|it| once.is_due(*it)).count();
        assert_eq!((rest, once.logged.len()), (MOST - 2, MOST));
    }

    #[test]
    fn a_flood_keeps_the_others_from_the_log_for_a_while_only() {
        let (mut once, now) = (LogOnce::default(), Instant::now());
        assert!((0..MOST).all(|it| once.is_due_at(it, now)));
        assert!(!once.is_due_at(MOST, now + FORGOTTEN / 2));
        assert!(once.is_due_at(MOST, now + FORGOTTEN));
        assert!(!once.is_due_at(MOST, now + FORGOTTEN * 3), "with room, it is logged once");
    }
}
