//! A minimum speed for transfers. Retries alone are no limit: a block now and then resets them.

use std::time::Duration;

/// At least this many bytes have to be acknowledged in a [`WINDOW`]: slower than any link over which a
/// machine could boot.
const LEAST: u64 = 32 << 10;
/// Longer than all retries of one block, so that a client that is gone is told apart from a slow one.
const WINDOW: Duration = Duration::from_mins(2);

/// The current window. Only time spent waiting for the client counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    waited: Duration,
    /// What was acknowledged at its beginning.
    bytes: u64,
}

impl Pace {
    /// The client was waited for, and has acknowledged this many bytes by now. Returns whether it is
    /// fast enough.
    pub fn holds(&mut self, waited: Duration, bytes: u64) -> bool {
        self.waited += waited;
        if bytes >= self.bytes + LEAST {
            *self = Self { waited: Duration::ZERO, bytes };
        }
        self.waited < WINDOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_now_and_then_is_too_slow_and_a_slow_link_is_not() {
        // The bytes of a step, its duration, and after how many seconds the transfer ends.
        for (bytes, seconds, ends) in [(8, 10, Some(120)), (1468, 60, Some(120)), (512, 1, None)] {
            let mut pace = Pace::default();
            let step = Duration::from_secs(seconds);
            let mut steps = (1..=1000).map(|step| step * bytes);
            let end = steps.position(|acknowledged| !pace.holds(step, acknowledged));
            let end = end.map(|at| (at as u64 + 1) * seconds);
            assert_eq!(end, ends, "{bytes} bytes in {seconds} s");
        }
    }
}
