//! A clock that nobody sets, and that goes on while the machine sleeps.

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Time since the machine was booted. Only differences mean something.
pub fn since_boot() -> Duration {
    // Linux has had this clock since 2.6.39; without it nothing is ever held to be fresh.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::MAX, Duration::from)
}
