//! How long everything is waited for.

use metal_base::Backoff;
use std::time::Duration;

/// Deadlines and pauses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// How long a server may take to accept a connection, and to begin with an answer.
    pub(crate) answer: Duration,
    /// How long nothing may come of a file.
    pub(crate) stall: Duration,
    /// First and longest pause before a transfer goes on.
    pub(crate) resume: (Duration, Duration),
    /// First and longest pause before an installation begins again.
    pub(crate) again: (Duration, Duration),
    /// How long an image is not written again that turned out to be of no use, while the order is the same.
    /// Less than metalman waits for progress, which is half an hour.
    pub(crate) rewrite: Duration,
    /// How long a server may say that it knows nothing of this installation, before that is believed: another
    /// one may have answered for it, or not know yet.
    pub(crate) unknown: Duration,
    /// How long a person may want to read why a machine goes on or off.
    pub(crate) reading: Duration,
    /// How long no disk may come or go before those that are there count, and how long that is waited
    /// for.
    pub(crate) settled: (Duration, Duration),
    /// The same where no disk is named.
    pub(crate) unnamed: (Duration, Duration),
}

/// What machines need.
pub(crate) const TIMEOUTS: Timeouts = Timeouts {
    answer: Duration::from_secs(20),
    stall: Duration::from_secs(30),
    resume: (Duration::from_secs(1), Duration::from_mins(1)),
    again: (Duration::from_secs(5), Duration::from_mins(2)),
    rewrite: Duration::from_mins(10),
    unknown: Duration::from_mins(15),
    reading: Duration::from_mins(1),
    settled: (Duration::from_secs(5), Duration::from_mins(1)),
    unnamed: (Duration::from_secs(30), Duration::from_mins(5)),
};

/// What tests need: nothing is far away. A silence is one on a loaded machine as well.
#[cfg(test)]
pub(crate) const QUICK: Timeouts = Timeouts {
    answer: Duration::from_secs(20),
    stall: Duration::from_secs(20),
    resume: (Duration::from_millis(1), Duration::from_millis(5)),
    again: (Duration::from_millis(1), Duration::from_millis(5)),
    rewrite: Duration::from_mins(2),
    unknown: Duration::from_secs(2),
    reading: Duration::from_millis(1),
    settled: (Duration::from_millis(400), Duration::from_secs(20)),
    unnamed: (Duration::from_millis(400), Duration::from_secs(20)),
};

impl Timeouts {
    /// Between two tries of a transfer.
    pub(crate) fn resume(&self) -> Backoff {
        Backoff::new(self.resume.0, self.resume.1)
    }

    /// Between two installations.
    pub(crate) fn again(&self) -> Backoff {
        Backoff::new(self.again.0, self.again.1)
    }
}
