//! Refusals of a kind that need not be installed, and when to believe them.

use kube::runtime::watcher::{self, Event};
use metal_base::jittered;
use std::time::Duration;
use tokio::time::Instant;

/// A refusal that may be a mistake is believed after this many in a row.
const SURE: u32 = 3;
/// How soon to ask again where nothing is known yet, and nothing can start before it is.
const SOON: Duration = Duration::from_secs(5);
/// How often to look whether the kind is served, or may be read, by now. A watch that lasts for as long has worked.
const AGAIN: Duration = Duration::from_mins(1);

/// Why there is nothing to watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// The API server does not have this kind.
    NotServed,
    /// We are not allowed to read it.
    Forbidden,
}

/// Refusals in a row. Whoever takes a refusal for an empty list acts as if there were no objects: so one that may
/// be a mistake has to be repeated. An API server that has just started refuses for seconds what it allows, because
/// it does not know the roles yet, and a load balancer answers in its place.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refusals {
    count: u32,
    /// When there was a list of which no watch is known to have worked.
    listed: Option<Instant>,
    /// What was reported last.
    told: Option<Told>,
}

/// Why there was nothing to watch, if that was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told(Option<Absence>);

impl Refusals {
    /// There was this event. A list alone ends no row of refusals: we may be allowed to list, but not to watch.
    pub fn note<K>(&mut self, event: &watcher::Result<Event<K>>) {
        match event {
            Ok(Event::Init | Event::InitApply(_)) | Err(_) => {}
            Ok(Event::InitDone) => {
                self.listed.get_or_insert_with(Instant::now);
            }
            Ok(Event::Apply(_) | Event::Delete(_)) => (self.count, self.listed) = (0, None),
        }
    }

    /// A watch of a kind has ended, for this reason if it is known. Returns whether there are no objects for us;
    /// `tell` is called whenever the reason for that changes.
    pub fn judge(
        &mut self,
        kind: &str,
        why: Option<Absence>,
        has_any: bool,
        tell: impl FnOnce(Option<Absence>),
    ) -> bool {
        let is_absent = why.is_none_or(|why| self.count(why, has_any));
        if !is_absent {
            self.log(kind, why);
        }
        if (is_absent || self.are_sure()) && self.told != Some(Told(why)) {
            self.told = Some(Told(why));
            tell(why);
        }
        is_absent
    }

    /// Counts one; returns whether there are no objects for us. `has_any` is whether some are known. That we may no
    /// longer read them does not mean that they are gone.
    fn count(&mut self, why: Absence, has_any: bool) -> bool {
        if self.listed.take().is_some_and(|listed| listed.elapsed() >= AGAIN) {
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        match (why, has_any) {
            (Absence::NotServed, false) => true,
            (Absence::NotServed, true) | (Absence::Forbidden, false) => self.are_sure(),
            (Absence::Forbidden, true) => false,
        }
    }

    /// Whether there were too many in a row for a mistake.
    fn are_sure(self) -> bool {
        self.count >= SURE
    }

    /// Logs one that does not mean that there are no objects, and those that follow it only for who looks for them.
    fn log(self, kind: &str, why: Option<Absence>) {
        const TEXT: &str = "refused to be listed; what was known before still counts";
        if self.count > 1 {
            tracing::debug!(kind, ?why, "{TEXT}");
        } else {
            tracing::warn!(kind, ?why, "{TEXT}");
        }
    }

    /// When to ask again. `is_known` is whether there was a list, or objects are known without one.
    pub fn pause(self, is_known: bool) -> Duration {
        jittered(if self.are_sure() || is_known { AGAIN } else { SOON })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_outlasts_a_refusal_that_may_be_a_mistake() {
        let count = |why, has_any| {
            let mut refusals = Refusals::default();
            [(); 4].map(|()| refusals.count(why, has_any))
        };
        assert_eq!(count(Absence::Forbidden, true), [false; 4]);
        assert_eq!(count(Absence::Forbidden, false), [false, false, true, true]);
        assert_eq!(count(Absence::NotServed, true), [false, false, true, true]);
        assert_eq!(count(Absence::NotServed, false), [true; 4], "it is not installed, as a rule");
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_ends_a_row_of_refusals_only_if_it_can_be_watched() {
        let refused = |refusals: &mut Refusals| refusals.count(Absence::Forbidden, false);
        let mut refusals = Refusals::default();
        for is_believed in [false, false, true] {
            refusals.note(&Ok(Event::<()>::InitDone));
            assert_eq!(refused(&mut refusals), is_believed);
        }
        refusals.note(&Ok(Event::Apply(())));
        assert!(!refused(&mut refusals), "there was a change");
        assert!(!refused(&mut refusals) && refused(&mut refusals));
        refusals.note(&Ok(Event::<()>::InitDone));
        tokio::time::advance(AGAIN).await;
        assert!(!refused(&mut refusals), "the watch has lasted");
    }
}
