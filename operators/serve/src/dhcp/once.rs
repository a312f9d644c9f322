//! What is logged once each, since anybody can make up any number of it.

use std::{collections::HashSet, hash::Hash};

/// At most this many are logged per process, where nothing else is said.
const MOST: usize = 64;

/// Those that were logged.
#[derive(Debug)]
pub struct Once<T> {
    logged: HashSet<T>,
    most: usize,
}

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self::with_room_for(MOST)
    }
}

impl<T> Once<T> {
    /// Logs so many at most.
    pub fn with_room_for(most: usize) -> Self {
        Self { logged: HashSet::new(), most }
    }
}

impl<T: Eq + Hash> Once<T> {
    /// Whether this one is to be logged.
    pub fn is_due(&mut self, it: T) -> bool {
        self.logged.len() < self.most && self.logged.insert(it)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_logged_once_and_a_flood_fills_neither_memory_nor_log() {
        let mut once = Once::default();
        let logged: Vec<_> = [7, 7, 8].map(|it| once.is_due(it)).into();
        assert_eq!(logged, [true, false, true]);
        let rest = (100..10_000).filter(|it| once.is_due(*it)).count();
        assert_eq!((rest, once.logged.len()), (MOST - 2, MOST));
    }
}
