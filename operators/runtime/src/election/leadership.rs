//! For how long a process may act on its lease.

use crate::clock;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

/// For how long a process may act on its lease. It is checked right before doing something that two
/// processes must not do, because the task that renews the lease may be late itself. Clones are the
/// same leadership.
#[derive(Clone, Debug, Default)]
pub struct Leadership(Option<Arc<AtomicU64>>);

impl Leadership {
    /// The leadership of a candidate, which does not hold until the candidate has won.
    pub(crate) fn candidate() -> Self {
        Self(Some(Arc::default()))
    }

    /// Whether it holds. Without an election it always does.
    pub fn holds(&self) -> bool {
        self.holds_at(clock::since_boot())
    }

    fn holds_at(&self, now: Duration) -> bool {
        self.0.as_ref().is_none_or(|until| nanos(now) < until.load(SeqCst))
    }

    /// Lets it hold until this time, by [`clock::since_boot`].
    pub(crate) fn lasts_until(&self, until: Duration) {
        if let Some(deadline) = &self.0 {
            deadline.store(nanos(until), SeqCst);
        }
    }

    /// Ends it.
    pub(crate) fn end(&self) {
        self.lasts_until(Duration::ZERO);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenure_ends_at_its_deadline_whether_or_not_anybody_runs_then() {
        let seconds = Duration::from_secs;
        let leadership = Leadership::candidate();
        assert!(!leadership.holds_at(seconds(0)), "never won");
        leadership.lasts_until(seconds(12));
        let shared = leadership.clone();
        assert!(shared.holds_at(seconds(11)) && !shared.holds_at(seconds(12)));
        leadership.end();
        assert!(!shared.holds_at(seconds(1)));
        assert!(Leadership::default().holds_at(Duration::MAX), "no election");
    }
}
