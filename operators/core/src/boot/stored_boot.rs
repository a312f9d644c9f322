//! For how long an answer is valid that a process has stored for its successor.
//!
//! A stored answer is used while nobody can say whether the boot is over, so it has to expire. Its
//! age is measured by two clocks, and the larger result counts: the wall clock, which may be set
//! back, and the time since the machine started, which nobody can set, but which says nothing about
//! what was stored before the last start.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The longest time that anything is used, however long its boot window is.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(2);

/// What the clocks of a machine show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockReading {
    /// Wall clock.
    pub wall: Timestamp,
    /// Identifies the start of the machine.
    pub start: String,
    /// Time since that start.
    pub running: SignedDuration,
}

/// When something was stored, and for how long it is valid at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// When it was stored.
    pub kept: ClockReading,
    /// When its boot window closes, by the wall clock.
    pub closes: Timestamp,
}

/// Why something that was stored is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Expired {
    /// The machine was restarted, and so was everything that booted from here.
    #[error("the machine has been restarted since")]
    Restarted,
    /// It has expired.
    #[error("its boot window is over")]
    Over,
}

/// For how much longer something that was stored is valid.
///
/// # Errors
///
/// If it is not valid.
pub fn remaining(times: &Validity, now: &ClockReading) -> Result<SignedDuration, Expired> {
    let Validity { kept, closes } = times;
    if kept.start != now.start || now.running < kept.running {
        return Err(Expired::Restarted);
    }
    let whole = closes.duration_since(kept.wall).min(LONGEST);
    let age = now.wall.duration_since(kept.wall).max(now.running.saturating_sub(kept.running));
    let rest = whole.saturating_sub(age);
    if rest.is_positive() { Ok(rest) } else { Err(Expired::Over) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: SignedDuration = SignedDuration::from_mins(1);

    #[test]
    fn what_was_kept_counts_until_the_window_of_its_boot_closes() {
        let times = times(30);
        assert_eq!(remaining(&times, &moment(0, 0)), Ok(30 * MINUTE));
        assert_eq!(remaining(&times, &moment(10, 10)), Ok(20 * MINUTE));
        assert_eq!(remaining(&times, &moment(30, 30)), Err(Expired::Over));
        assert_eq!(remaining(&self::times(-1), &moment(0, 0)), Err(Expired::Over));
    }

    #[test]
    fn no_clock_that_is_set_makes_it_count_for_longer() {
        let times = times(30);
        // The wall clock was set back, by any amount.
        for wall in [-1, -60, -600_000] {
            assert_eq!(remaining(&times, &moment(wall, 10)), Ok(20 * MINUTE), "{wall}");
            assert_eq!(remaining(&times, &moment(wall, 30)), Err(Expired::Over), "{wall}");
        }
        // The wall clock was set ahead, or the other one stopped while the machine slept.
        assert_eq!(remaining(&times, &moment(31, 1)), Err(Expired::Over));
    }

    #[test]
    fn no_window_makes_it_count_for_longer_than_two_hours() {
        let times = times(600_000);
        assert_eq!(remaining(&times, &moment(0, 0)), Ok(LONGEST));
        assert_eq!(remaining(&times, &moment(0, 120)), Err(Expired::Over));
    }

    #[test]
    fn a_restart_of_the_machine_ends_it() {
        let another = ClockReading { start: "another".to_owned(), ..moment(1, 1) };
        assert_eq!(remaining(&times(30), &another), Err(Expired::Restarted));
        assert_eq!(remaining(&times(30), &moment(1, -1)), Err(Expired::Restarted));
    }

    /// A window that closes this many minutes after it was stored.
    fn times(window: i64) -> Validity {
        let kept = moment(0, 0);
        let closes = kept.wall + SignedDuration::from_mins(window);
        Validity { kept, closes }
    }

    /// This many minutes later, by each of the clocks.
    fn moment(wall: i64, running: i64) -> ClockReading {
        ClockReading {
            wall: Timestamp::from_second(2_000_000_000).unwrap() + SignedDuration::from_mins(wall),
            start: "this".to_owned(),
            running: SignedDuration::from_hours(1) + SignedDuration::from_mins(running),
        }
    }
}
