//! How often what somebody proves leads to a write, or to other work: a machine may say something else, or
//! ask for the same, all the time.

use metal_base::Locked;
use std::{collections::HashMap, sync::Mutex, time::Duration};
use tokio::time::Instant;

/// Objects that are remembered.
const OBJECTS: usize = 16_384;
/// How often all of them are looked through, for those that may do everything again.
const SWEEP: Duration = Duration::from_secs(5);

/// How often something may be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// What is done; each counts by itself.
    what: &'static str,
    /// So often at once,
    burst: u32,
    /// and then once in this time.
    every: Duration,
}

/// Openings of a URL that are recorded. They are not boots: whoever opens it all the time keeps no machine from
/// booting.
pub(crate) const OPENINGS: Rate =
    Rate { what: "opening", burst: 3, every: Duration::from_secs(50) };
/// Boots with a token.
pub(crate) const BOOTS: Rate = Rate { what: "boot", burst: 12, every: Duration::from_secs(50) };
/// What an installer says: twelve reports in ten minutes, besides the last one.
pub(crate) const REPORTS: Rate = Rate { what: "report", burst: 12, every: Duration::from_secs(50) };
/// What a Host says.
pub(crate) const STATUS: Rate = Rate { what: "status", burst: 12, every: Duration::from_secs(10) };

/// Configurations that a Host reads.
pub(crate) const READS: Rate = Rate { what: "read", burst: 12, every: Duration::from_secs(10) };
/// TPMs that are proved for a token.
pub(crate) const PROOFS: Rate = Rate { what: "proof", burst: 12, every: Duration::from_secs(10) };

/// When each object will have used up nothing again (a token bucket, told as a time).
#[derive(Debug, Default)]
pub(crate) struct Allowances(Mutex<Due>);

#[derive(Debug, Default)]
struct Due {
    of: HashMap<(String, &'static str), Instant>,
    swept: Option<Instant>,
}

impl Allowances {
    /// Whether this may be done for the object of this UID once more.
    pub(crate) fn may(&self, uid: Option<&str>, rate: Rate) -> bool {
        let (now, key) = (Instant::now(), (uid.unwrap_or_default().to_owned(), rate.what));
        let mut all = self.0.locked();
        all.make_room(now);
        let due = all.of.get(&key).copied();
        let is_full = due.is_none() && all.of.len() >= OBJECTS;
        let due = due.map_or(now, |due| due.max(now));
        if is_full || due.duration_since(now) > rate.every * rate.burst.saturating_sub(1) {
            return false;
        }
        all.of.insert(key, due + rate.every);
        true
    }
}

impl Due {
    fn make_room(&mut self, now: Instant) {
        let is_due = self.swept.is_none_or(|at| now.duration_since(at) >= SWEEP);
        if self.of.len() >= OBJECTS && is_due {
            self.of.retain(|_, due| *due > now);
            self.swept = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{advance, pause};

    #[tokio::test]
    async fn a_host_that_reports_something_else_all_the_time_costs_one_write_in_ten_seconds() {
        pause();
        let allowances = Allowances::default();
        let written = |uid| (0..1000).filter(|_| allowances.may(Some(uid), STATUS)).count();
        assert_eq!(written("a"), 12);
        for _ in 0..5 {
            advance(Duration::from_secs(10)).await;
            assert_eq!(written("a"), 1);
        }
        assert_eq!(written("b"), 12, "another one is not held up");
        assert!(allowances.may(Some("a"), REPORTS), "each counts by itself");
    }

    #[tokio::test]
    async fn a_crowd_of_objects_takes_bounded_room() {
        pause();
        let allowances = Allowances::default();
        let may = |number: usize| allowances.may(Some(&number.to_string()), STATUS);
        assert_eq!((0..OBJECTS + 1000).filter(|number| may(*number)).count(), OBJECTS);
        assert!(may(0), "those that are known are not held up");
        advance(Duration::from_mins(2)).await;
        assert!(may(OBJECTS));
        assert_eq!(allowances.0.lock().unwrap().of.len(), 1);
    }
}
