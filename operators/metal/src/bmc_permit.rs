//! Permits for writes to BMCs.

use crate::Context;
use metal_bmc::{Permit, Withdrawn};
use metal_runtime::{clock, election::leadership::Leadership};
use std::time::Duration;

/// For how long a decision about a machine is valid, or a reading right before a write that confirms
/// it. A busy BMC may take this long to answer the request before a write; what waits for longer is
/// decided on again.
const DECISION: Duration = Duration::from_secs(30);

impl<C> Context<C> {
    /// The permit for a write to a BMC that was decided on now: it holds while this process leads
    /// and the decision is recent.
    pub(crate) fn permit(&self) -> Permit {
        permit(self.leadership.clone(), clock::since_boot, DECISION)
    }
}

fn permit(leadership: Leadership, clock: fn() -> Duration, lasts: Duration) -> Permit {
    let leads = move || {
        let lost = Withdrawn("this process no longer holds the lease");
        if leadership.holds() { Ok(()) } else { Err(lost) }
    };
    Permit::new(leads).lasting(lasts, clock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    static NOW: AtomicU64 = AtomicU64::new(100);

    #[test]
    fn a_write_that_waits_too_long_is_withdrawn() {
        let clock = || Duration::from_secs(NOW.load(SeqCst));
        let permit = permit(Leadership::default(), clock, DECISION);
        for (now, holds) in [(100, true), (129, true), (130, false), (10_000, false)] {
            NOW.store(now, SeqCst);
            assert_eq!(permit.check().is_ok(), holds, "at {now}");
        }
    }
}
