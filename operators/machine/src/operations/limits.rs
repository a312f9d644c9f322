//! Time limits for the parts of an attempt.

use super::{GRACE, INSTALL, INSTALL_IN_ALL, POWER};
use jiff::SignedDuration;

/// Time limits of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For a graceful shutdown, from its request.
    pub shutdown: SignedDuration,
    /// For a forced power-off, and for a power-on, from its request.
    pub power: SignedDuration,
    /// For an installer that makes no progress, from when the host was seen on, or from the last
    /// progress.
    pub install: SignedDuration,
    /// For an installation with progress, from when the host was seen on.
    pub install_in_all: SignedDuration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { shutdown: GRACE, power: POWER, install: INSTALL, install_in_all: INSTALL_IN_ALL }
    }
}

/// A time limit in words: whole minutes, or else seconds.
pub(super) fn words(limit: SignedDuration) -> String {
    let seconds = limit.as_secs();
    if seconds > 0 && seconds % 60 == 0 {
        format!("{} minutes", seconds / 60)
    } else {
        format!("{seconds} s")
    }
}
