//! A circuit breaker: when not to send requests to a BMC.
//!
//! ```text
//!  closed ──does not connect, or fails 3 times in a row──► resting ──time──► one request as a probe
//!    ▲                                                                        │            │
//!    └──────────────────────────────answers──────────────────────────────────┘   fails: rests longer
//! ```

use metal_base::{
    backoff::doubled,
    jitter::{number_of, upper_half},
};
use std::{hash::Hash, time::Duration};
use tokio::time::Instant;

/// How much a failure says about the BMC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nothing is listening: other requests would fail, too.
    Dead,
    /// This request got no answer. Another one may.
    Stuck,
}

/// After this many consecutive `Stuck` failures, the BMC counts as gone.
pub(crate) const PATIENCE: usize = 3;

/// The breaker of one BMC.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    stuck: usize,
    rests: u32,
    resting: Option<(Instant, String)>,
}

impl Breaker {
    /// Why the BMC must not be asked now: the text of the failure that opened the breaker. `None`
    /// if it may be.
    pub(crate) fn rests(&self, now: Instant) -> Option<&str> {
        self.resting.as_ref().filter(|(until, _)| now < *until).map(|(_, why)| why.as_str())
    }

    pub(crate) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Counts a failure. The first rest lasts `first`, and each further one twice as long, up to
    /// `longest`; `target` picks a point between half of that and all of it, so that a fleet that
    /// lost its network does not retry in step.
    pub(crate) fn failed(
        &mut self,
        failure: Failure,
        why: String,
        (now, target): (Instant, &impl Hash),
        (first, longest): (Duration, Duration),
    ) {
        self.stuck += 1;
        if failure == Failure::Stuck && self.rests == 0 && self.stuck < PATIENCE {
            return;
        }
        let rest = doubled(first, self.rests, longest);
        self.rests += 1;
        self.resting = Some((now + upper_half(rest, number_of(&(target, self.rests))), why));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(1);
    const LONGEST: Duration = Duration::from_mins(1);

    fn fail(breaker: &mut Breaker, failure: Failure, now: Instant, target: u32) {
        breaker.failed(
            failure,
            "TCP connection failed".to_owned(),
            (now, &target),
            (FIRST, LONGEST),
        );
    }

    #[test]
    fn a_dead_bmc_is_left_alone_at_once_and_a_stuck_one_after_three_failures() {
        let now = Instant::now();
        let (mut dead, mut stuck) = (Breaker::default(), Breaker::default());
        fail(&mut dead, Failure::Dead, now, 1);
        assert_eq!(dead.rests(now), Some("TCP connection failed"));
        fail(&mut stuck, Failure::Stuck, now, 1);
        fail(&mut stuck, Failure::Stuck, now, 1);
        assert_eq!(stuck.rests(now), None);
        fail(&mut stuck, Failure::Stuck, now, 1);
        assert!(stuck.rests(now).is_some());
    }

    #[test]
    fn rests_grow_up_to_the_longest_and_end_with_an_answer() {
        let (mut breaker, mut now) = (Breaker::default(), Instant::now());
        for doubled in [1, 2, 4, 8, 16, 32, 60, 60] {
            fail(&mut breaker, Failure::Dead, now, 7);
            let whole = Duration::from_secs(doubled);
            assert!(breaker.rests(now + whole / 2 - Duration::from_millis(1)).is_some());
            assert_eq!(breaker.rests(now + whole), None);
            now += whole;
        }
        breaker.succeeded();
        fail(&mut breaker, Failure::Stuck, now, 7);
        assert_eq!(breaker.rests(now), None);
    }

    #[test]
    fn a_failed_probe_begins_a_rest_whatever_its_kind() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        fail(&mut breaker, Failure::Dead, now, 1);
        let later = now + FIRST;
        fail(&mut breaker, Failure::Stuck, later, 1);
        assert!(breaker.rests(later).is_some());
    }

    #[test]
    fn two_bmcs_that_fail_together_are_not_probed_together() {
        let rest = |target: u32| upper_half(LONGEST, number_of(&(target, 1)));
        assert_eq!(rest(1), rest(1));
        let mut rests: Vec<_> = (0..100).map(rest).collect();
        rests.sort_unstable();
        rests.dedup();
        assert!(rests.len() > 80, "{}", rests.len());
    }
}
