//! Log messages that appear once for each of a limited number of values, as anybody can make up any
//! number of values.

use std::{collections::HashSet, hash::Hash};

/// At most this many are logged per process, where nothing else is said.
const MOST: usize = 64;

/// The values that were logged.
#[derive(Debug)]
pub struct LogOnce<T> {
    logged: HashSet<T>,
    most: usize,
}

impl<T> Default for LogOnce<T> {
    fn default() -> Self {
        Self::with_room_for(MOST)
    }
}

impl<T> LogOnce<T> {
    /// At most this many values.
    pub fn with_room_for(most: usize) -> Self {
        Self { logged: HashSet::new(), most }
    }
}

impl<T: Eq + Hash> LogOnce<T> {
    /// Whether this value is to be logged.
    pub fn is_due(&mut self, it: T) -> bool {
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
}
