//! How often what somebody proves leads to a write, or to other work: a machine may say something else, or
//! ask for the same, all the time.

use crate::remembered::{Done, Remembered};
use kube::{Resource, ResourceExt};
use metal_base::Locked;
use std::{sync::Mutex, time::Duration};
use tokio::time::Instant;

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
/// What an installer says further of its steps, of all of them together: twelve reports in ten minutes.
pub(crate) const REPORTS: Rate = Rate { what: "report", burst: 12, every: Duration::from_secs(50) };
/// Steps of an installer: how often it has said how far one of them is does not keep it from going on, or from
/// saying that it has failed.
pub(crate) const STEPS: Rate = Rate { what: "step", burst: 12, every: Duration::from_secs(50) };
/// Times that an installer says to be done, until that is written.
pub(crate) const DONE: Rate = Rate { what: "done", burst: 12, every: Duration::from_secs(10) };
/// What a Host says.
pub(crate) const STATUS: Rate = Rate { what: "status", burst: 12, every: Duration::from_secs(10) };

/// Configurations that a Host reads.
pub(crate) const READS: Rate = Rate { what: "read", burst: 12, every: Duration::from_secs(10) };
/// TPMs that are proved for a token.
pub(crate) const PROOFS: Rate = Rate { what: "proof", burst: 12, every: Duration::from_secs(10) };

/// When each object will have used up nothing again (a token bucket, told as a time).
#[derive(Debug, Default)]
pub(crate) struct Allowances(Mutex<Remembered>);

impl Allowances {
    /// Whether this may be done for the object once more.
    pub(crate) fn may<K: Resource>(&self, object: &K, rate: Rate) -> bool {
        self.may_again(done(object, rate), rate)
    }

    /// The same of what a crowd of other objects, which leave no room to remember it, is not to keep from being done.
    pub(crate) fn may_in_a_crowd<K: Resource>(&self, object: &K, rate: Rate) -> bool {
        !self.note(done(object, rate), rate).0
    }

    fn may_again(&self, done: Done, rate: Rate) -> bool {
        let (is_used_up, is_noted) = self.note(done, rate);
        !is_used_up && is_noted
    }

    /// Notes that this is done once more, unless that is used up; returns whether it is, and whether there was room.
    fn note(&self, done: Done, rate: Rate) -> (bool, bool) {
        let now = Instant::now();
        let mut all = self.0.locked();
        all.make_room(&done.namespace, SWEEP, |due| due <= now);
        let due = all.get(&done).map_or(now, |due| due.max(now));
        let is_used_up = due.duration_since(now) > rate.every * rate.burst.saturating_sub(1);
        (is_used_up, !is_used_up && all.insert(done, due + rate.every))
    }
}

fn done<K: Resource>(object: &K, rate: Rate) -> Done {
    let (namespace, uid) = (object.namespace().unwrap_or_default(), object.uid());
    Done { namespace, uid: uid.unwrap_or_default(), what: rate.what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remembered::{OBJECTS, OF_ONE};
    use metal_api::{BootToken, BootTokenSpec};
    use tokio::time::{advance, pause};

    fn done(namespace: &str, uid: &str, rate: Rate) -> Done {
        Done { namespace: namespace.to_owned(), uid: uid.to_owned(), what: rate.what }
    }

    #[tokio::test]
    async fn a_host_that_reports_something_else_all_the_time_costs_one_write_in_ten_seconds() {
        pause();
        let allowances = Allowances::default();
        let may = |uid, rate| allowances.may_again(done("org", uid, rate), rate);
        let written = |uid| (0..1000).filter(|_| may(uid, STATUS)).count();
        assert_eq!(written("a"), 12);
        for _ in 0..5 {
            advance(Duration::from_secs(10)).await;
            assert_eq!(written("a"), 1);
        }
        assert_eq!(written("b"), 12, "another one is not held up");
        assert!(may("a", REPORTS), "each counts by itself");
    }

    #[tokio::test]
    async fn a_crowd_of_objects_takes_bounded_room_and_none_of_another_organization() {
        pause();
        let allowances = Allowances::default();
        let may = |namespace: &str, number: usize| {
            allowances.may_again(done(namespace, &number.to_string(), STATUS), STATUS)
        };
        let count = |namespace: &str| (0..OF_ONE + 10).filter(|it| may(namespace, *it)).count();
        assert_eq!(count("a"), OF_ONE);
        assert!(may("a", 0), "those that are known are not held up");
        let mut last = BootToken::new("last", BootTokenSpec::default());
        last.metadata.namespace = Some("a".to_owned());
        assert!(!allowances.may(&last, DONE) && allowances.may_in_a_crowd(&last, DONE));
        assert!(may("z", 0), "nor are those of another organization");
        for namespace in ["b", "c"] {
            assert_eq!(count(namespace), OF_ONE);
        }
        assert_eq!(count("d"), OBJECTS - 3 * OF_ONE - 1);
        assert_eq!(allowances.0.lock().unwrap().state().1, OBJECTS);
        advance(Duration::from_mins(2)).await;
        assert!(may("d", OBJECTS));
        assert_eq!(allowances.0.lock().unwrap().state().1, 1);
    }
}
