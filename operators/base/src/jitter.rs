//! Randomness to spread simultaneous actions in time. Nothing secret depends on it.

use std::{
    hash::{BuildHasher as _, DefaultHasher, Hash, Hasher as _, RandomState},
    time::Duration,
};

/// Fine enough to spread a rack.
const STEPS: u32 = 1024;

/// A number that differs between calls and between machines.
///
/// It never blocks: a machine may have no entropy for minutes after its start, and the keys of the
/// standard library's hash maps do not insist on it.
pub fn number() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A number derived from a seed, the same in every process.
pub fn number_of(seed: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    seed.hash(&mut hasher);
    hasher.finish()
}

/// Maps `number`, of any size, to a time between these two, inclusive.
pub fn between(least: Duration, most: Duration, number: u64) -> Duration {
    let step = u32::try_from(number % u64::from(STEPS)).unwrap_or_default();
    let width = most.saturating_sub(least);
    let share = width.checked_mul(step).map(|share| share / (STEPS - 1));
    least + share.unwrap_or_else(|| width / (STEPS - 1) * step)
}

/// Maps `number`, of any size, to a time between half of `most` and all of it.
pub fn upper_half(most: Duration, number: u64) -> Duration {
    between(most / 2, most, number)
}

/// `period`, plus or minus up to a `part`-th of it, at random.
pub fn within(period: Duration, part: u32) -> Duration {
    let width = period / part.max(1);
    between(period.saturating_sub(width), period.saturating_add(width), number())
}

/// `period`, plus or minus up to a tenth of it, at random.
pub fn jittered(period: Duration) -> Duration {
    within(period, 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_differ_unless_they_have_one_seed() {
        assert_ne!(number(), number());
        assert_eq!(number_of(&"a"), number_of(&"a"));
        assert_ne!(number_of(&"a"), number_of(&"b"));
    }

    #[test]
    fn a_time_is_never_outside_of_its_bounds() {
        let [least, most] = [3, 7].map(Duration::from_secs);
        assert_eq!(between(least, most, 0), least);
        assert_eq!(between(least, most, 1023), most);
        assert_eq!(between(least, least, 512), least);
        for number in [1, 511, 1024, u64::MAX] {
            assert!((least..=most).contains(&between(least, most, number)), "{number}");
            assert!(between(Duration::ZERO, Duration::MAX, number) <= Duration::MAX);
        }
    }

    #[test]
    fn a_pause_is_shortened_by_half_of_it_at_most() {
        let step = Duration::from_secs(4);
        assert_eq!([0, 1023].map(|number| upper_half(step, number).as_secs()), [2, 4]);
        assert!(upper_half(step, 512) < step);
    }

    #[test]
    fn jitter_stays_within_a_tenth_and_varies() {
        let period = Duration::from_secs(100);
        let drawn = [(); 64].map(|()| jittered(period));
        assert!(drawn.iter().all(|drawn| (90..=110).contains(&drawn.as_secs())), "{drawn:?}");
        assert!(drawn.iter().any(|other| *other != drawn[0]));
        assert!(jittered(Duration::MAX) >= Duration::MAX / 2);
    }
}
