//! For how long an answer counts that a process has kept for the next one.
//!
//! What is kept is used while nobody can say whether the boot is over: so it must end by itself. Two
//! clocks measure how old it is, and the one counts that says more: the one of the wall, which
//! anybody may set back, and the one that runs from the start of the machine, which nobody sets, and
//! which says nothing of what another start of the machine has written.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Nothing is used for longer, however long the window of its boot is.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(2);

/// What the clocks of a machine say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// The clock on the wall.
    pub wall: Timestamp,
    /// Which start of the machine this is.
    pub start: String,
    /// Time since that start.
    pub running: SignedDuration,
}

/// When something was kept, and until when it counts at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// When it was kept.
    pub kept: Moment,
    /// When its boot window closes, by the clock on the wall.
    pub closes: Timestamp,
}

/// Why something that was kept does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Void {
    /// The machine was restarted, and with it whatever booted from here.
    #[error("the machine has been restarted since")]
    Restarted,
    /// Its time is over.
    #[error("its boot window is over")]
    Over,
}

/// How much longer something counts that was kept.
///
/// # Errors
///
/// If it does not count.
pub fn remaining(times: &Times, now: &Moment) -> Result<SignedDuration, Void> {
    let Times { kept, closes } = times;
    if kept.start != now.start || now.running < kept.running {
        return Err(Void::Restarted);
    }
    let whole = closes.duration_since(kept.wall).min(LONGEST);
    let age = now.wall.duration_since(kept.wall).max(now.running.saturating_sub(kept.running));
    let rest = whole.saturating_sub(age);
    if rest.is_positive() { Ok(rest) } else { Err(Void::Over) }
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
        assert_eq!(remaining(&times, &moment(30, 30)), Err(Void::Over));
        assert_eq!(remaining(&self::times(-1), &moment(0, 0)), Err(Void::Over));
    }

    #[test]
    fn no_clock_that_is_set_makes_it_count_for_longer() {
        let times = times(30);
        // Set back, by whatever much.
        for wall in [-1, -60, -600_000] {
            assert_eq!(remaining(&times, &moment(wall, 10)), Ok(20 * MINUTE), "{wall}");
            assert_eq!(remaining(&times, &moment(wall, 30)), Err(Void::Over), "{wall}");
        }
        // Set ahead, or the machine slept where its clock did not.
        assert_eq!(remaining(&times, &moment(31, 1)), Err(Void::Over));
    }

    #[test]
    fn no_window_makes_it_count_for_longer_than_two_hours() {
        let times = times(600_000);
        assert_eq!(remaining(&times, &moment(0, 0)), Ok(LONGEST));
        assert_eq!(remaining(&times, &moment(0, 120)), Err(Void::Over));
    }

    #[test]
    fn a_restart_of_the_machine_ends_it() {
        let another = Moment { start: "another".to_owned(), ..moment(1, 1) };
        assert_eq!(remaining(&times(30), &another), Err(Void::Restarted));
        assert_eq!(remaining(&times(30), &moment(1, -1)), Err(Void::Restarted));
    }

    /// A window that closes so many minutes after it was kept.
    fn times(window: i64) -> Times {
        let kept = moment(0, 0);
        let closes = kept.wall + SignedDuration::from_mins(window);
        Times { kept, closes }
    }

    /// So many minutes later, by each of the clocks.
    fn moment(wall: i64, running: i64) -> Moment {
        Moment {
            wall: Timestamp::from_second(2_000_000_000).unwrap() + SignedDuration::from_mins(wall),
            start: "this".to_owned(),
            running: SignedDuration::from_hours(1) + SignedDuration::from_mins(running),
        }
    }
}
