//! The time by two clocks.

use jiff::{SignedDuration, Timestamp};

/// The time by the clock on the wall, which is set at times, and by one that goes on from where that was when
/// this process was started, and that nobody sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// By the clock on the wall.
    pub wall: Timestamp,
    /// By the other one.
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
