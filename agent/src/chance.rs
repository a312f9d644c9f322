//! Numbers for jitter and transaction identifiers, of which nothing secret depends.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A number that differs from call to call and from machine to machine.
///
/// It never waits: a machine without a source of randomness may have none for minutes after its
/// start, and the standard library's keys do not insist on it.
pub(crate) fn number() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_differ() {
        assert_ne!(number(), number());
    }
}
