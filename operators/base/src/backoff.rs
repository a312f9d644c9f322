//! Delays that double with each consecutive failure.

use crate::jitter::{number, upper_half};
use std::time::Duration;

/// The delay after this many earlier failures: `first`, doubled for each, and at most `longest`.
pub fn doubled(first: Duration, failures: u32, longest: Duration) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(failures)).min(longest)
}

/// A back-off that counts the failures itself.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Starts with `first`. No delay exceeds `longest`, unless `first` does.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest: longest.max(first), failures: 0 }
    }

    /// Resets the count after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Counts a failure, and returns the delay before the next attempt.
    pub fn failed(&mut self) -> Duration {
        let pause = doubled(self.first, self.failures, self.longest);
        self.failures = self.failures.saturating_add(1);
        pause
    }

    /// Like [`Self::failed`], shortened at random by up to half.
    pub fn pause(&mut self) -> Duration {
        upper_half(self.failed(), number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_mins(1);

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_again_after_success() {
        let mut backoff = Backoff::new(Duration::from_secs(5), LONGEST);
        let pauses: Vec<_> = (0..6).map(|_| backoff.failed().as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 60, 60]);
        backoff.reset();
        assert_eq!(backoff.failed().as_secs(), 5);
        assert!((5..=10).contains(&backoff.pause().as_secs()));
        assert!((10..=20).contains(&backoff.pause().as_secs()));
    }

    #[test]
    fn endless_failure_does_not_overflow() {
        let mut backoff = Backoff::new(Duration::from_secs(5), LONGEST);
        assert!((0..100).all(|_| backoff.failed() <= LONGEST));
        assert_eq!(doubled(Duration::MAX, u32::MAX, Duration::MAX), Duration::MAX);
    }

    #[test]
    fn a_first_pause_beyond_the_longest_counts() {
        let mut backoff = Backoff::new(2 * LONGEST, LONGEST);
        assert_eq!([backoff.failed(), backoff.failed()], [2 * LONGEST; 2]);
    }
}
