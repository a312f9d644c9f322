//! Pauses between repeated posts.

use std::time::Duration;

/// No pause is longer, unless the first one is.
const LONGEST: Duration = Duration::from_mins(1);

/// Exponential pauses with jitter, so that a rack that lost its registry does not come back as
/// one.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    failures: u32,
}

impl Backoff {
    /// Begins with pauses of up to `first`.
    pub fn new(first: Duration) -> Self {
        Self { first, failures: 0 }
    }

    /// Forgets the failures.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The next pause: between half and all of a step that doubles. `random` is any number.
    pub fn pause(&mut self, random: u64) -> Duration {
        let doubled =
            self.first.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1);
        let step = doubled.min(LONGEST.max(self.first));
        // 1024 steps are random enough to spread a rack.
        let share = u32::try_from(random % 1024).unwrap_or(0);
        step / 2 + step / 2 * share / 1023
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_again_after_success() {
        let mut backoff = Backoff::new(Duration::from_secs(5));
        let pauses: Vec<_> = (0..6).map(|_| backoff.pause(1023).as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 60, 60]);
        backoff.reset();
        assert_eq!(backoff.pause(1023).as_secs(), 5);
    }

    #[test]
    fn jitter_takes_off_up_to_half() {
        let mut backoff = Backoff::new(Duration::from_secs(4));
        assert_eq!(backoff.pause(0), Duration::from_secs(2));
        assert!(backoff.pause(512) < Duration::from_secs(7));
    }

    #[test]
    fn endless_failure_does_not_overflow() {
        let mut backoff = Backoff::new(Duration::from_secs(5));
        assert!((0..100).all(|_| backoff.pause(u64::MAX) <= LONGEST));
    }
}
