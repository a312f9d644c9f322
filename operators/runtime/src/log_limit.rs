//! Limits the lines that untrusted peers can make a process log.

use metal_base::Locked;
use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

/// At most this many lines are logged per period.
const LINES: u32 = 20;
const PERIOD: Duration = Duration::from_secs(1);

/// Decides which of many lines are logged, so that a flood of requests does not become a flood of
/// lines.
#[derive(Debug, Default)]
pub struct LogLimit(Mutex<Option<(Instant, u32)>>);

impl LogLimit {
    /// Whether one more line may be logged.
    pub fn may(&self) -> bool {
        self.may_at(Instant::now())
    }

    fn may_at(&self, now: Instant) -> bool {
        let mut period = self.0.locked();
        let is_running = |(since, _): &(Instant, u32)| now.duration_since(*since) < PERIOD;
        let (since, lines) = period.filter(is_running).unwrap_or((now, 0));
        *period = Some((since, lines.saturating_add(1)));
        lines < LINES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_becomes_a_few_lines_in_each_second() {
        let (seldom, start) = (LogLimit::default(), Instant::now());
        for second in 0..3 {
            let now = start + PERIOD * second;
            let lines = (0..10_000).filter(|_| seldom.may_at(now)).count();
            assert_eq!(lines, 20);
        }
    }
}
