//! The time by two clocks.

use jiff::{SignedDuration, Timestamp};

/// The time by the wall clock, which may be set, and by a clock that started with its time and that nobody sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// By the wall clock.
    pub wall: Timestamp,
    /// By the clock that nobody sets.
    pub steady: Timestamp,
}

impl Clocks {
    /// How long ago something was recorded, or how far in the future, by the clock that says less: the other one
    /// was set since then, or before.
    pub(super) fn age(self, recorded: Timestamp) -> SignedDuration {
        let [wall, steady] = [self.wall, self.steady].map(|now| now.duration_since(recorded).abs());
        wall.min(steady)
    }
}

/// Two clocks that agree.
impl From<Timestamp> for Clocks {
    fn from(now: Timestamp) -> Self {
        Self { wall: now, steady: now }
    }
}
