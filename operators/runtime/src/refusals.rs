//! Refusals of a kind that need not be installed, and when to believe them.

use metal_base::jittered;
use std::time::Duration;

/// A refusal that may be a mistake is believed after this many in a row.
const SURE: u32 = 3;
/// How soon to ask again where nothing is known yet, and nothing can start before it is.
const SOON: Duration = Duration::from_secs(5);
/// How often to look whether the kind is served, or may be read, by now.
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
pub struct Refusals(u32);

impl Refusals {
    /// There was a list.
    pub fn reset(&mut self) {
        self.0 = 0;
    }

    /// Counts one; returns whether there are no objects for us. `has_any` is whether some are known. That we may no
    /// longer read them does not mean that they are gone.
    pub fn count(&mut self, why: Absence, has_any: bool) -> bool {
        self.0 = self.0.saturating_add(1);
        match (why, has_any) {
            (Absence::NotServed, false) => true,
            (Absence::NotServed, true) | (Absence::Forbidden, false) => self.0 >= SURE,
            (Absence::Forbidden, true) => false,
        }
    }

    /// When to ask again.
    pub fn pause(self, has_any: bool) -> Duration {
        jittered(if self.0 < SURE && !has_any { SOON } else { AGAIN })
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
}
