//! A token bucket for the whole fleet.

use metal_base::Locked;
use std::{num::NonZeroU32, sync::Mutex, time::Duration};
use tokio::time::{Instant, sleep_until};

/// Lets this many requests pass per second, with bursts of up to a tenth of that.
#[derive(Debug)]
pub(crate) struct Rate {
    /// The time between two requests at that rate.
    interval: Duration,
    /// How far ahead of the rate a request may be sent.
    burst: Duration,
    /// When the next request is due.
    due: Mutex<Instant>,
}

impl Rate {
    pub(crate) fn new(per_second: NonZeroU32, now: Instant) -> Self {
        let interval = Duration::from_secs(1) / per_second.get();
        let burst = Duration::from_millis(100).max(interval);
        Self { interval, burst, due: Mutex::new(now) }
    }

    /// Waits for a turn. A waiter that is dropped leaves its turn unused.
    pub(crate) async fn turn(&self) {
        let now = Instant::now();
        let at = self.book(now);
        if at > now {
            sleep_until(at).await;
        }
    }

    fn book(&self, now: Instant) -> Instant {
        let mut due = self.due.locked();
        let at = (*due).max(now);
        *due = at + self.interval;
        at.checked_sub(self.burst).map_or(now, |early| early.max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_the_rest_keeps_to_the_rate() {
        let now = Instant::now();
        let rate = Rate::new(NonZeroU32::new(100).unwrap(), now);
        let waits: Vec<_> = (0..13).map(|_| rate.book(now) - now).collect();
        assert!(waits[..=10].iter().all(Duration::is_zero), "{waits:?}");
        assert_eq!(waits[11..], [Duration::from_millis(10), Duration::from_millis(20)]);
    }

    #[test]
    fn time_without_requests_does_not_pile_up() {
        let start = Instant::now();
        let rate = Rate::new(NonZeroU32::new(100).unwrap(), start);
        let later = start + Duration::from_mins(1);
        let waits: Vec<_> = (0..12).map(|_| rate.book(later) - later).collect();
        assert_eq!(waits[11], Duration::from_millis(10));
    }
}
