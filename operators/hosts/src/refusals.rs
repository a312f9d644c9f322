//! How many guesses a stranger has.
//!
//! A secret has 256 bits, so no limit is needed against guessing. This one bounds what attempts cost us in logs
//! and events.

use metal_base::{Locked, Source};
use std::{collections::HashMap, net::IpAddr, sync::Mutex, time::Duration};
use tokio::time::Instant;

/// After this many refusals in a window, a source is told nothing further, and nothing is reported about it.
const PER_SOURCE: u32 = 30;
/// The same for all sources together.
const IN_ALL: u32 = 3000;
/// The window.
const WINDOW: Duration = Duration::from_mins(1);
/// How many sources are remembered.
const SOURCES: usize = 65_536;
/// How often expired sources are looked for.
const SWEEP: Duration = Duration::from_secs(5);

/// Counts refusals by source: an IPv4 address, or an IPv6 /64.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    sources: HashMap<Source, Count>,
    all: Option<Count>,
    /// When room was made last.
    swept: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    since: Instant,
    number: u32,
}

impl Refusals {
    /// Whether this source is told of one more refusal. What it proves is heard all the same: many machines
    /// may share an address, and whoever guesses may have many.
    pub(crate) fn may_fail(&self, source: Option<IpAddr>) -> bool {
        let counts = self.0.locked();
        let count = source.and_then(|source| counts.sources.get(&Source::from(source)));
        let has_room = |count: &Count, limit| !count.is_running() || count.number < limit;
        count.is_none_or(|count| has_room(count, PER_SOURCE))
            && counts.all.as_ref().is_none_or(|all| has_room(all, IN_ALL))
    }

    /// Counts a refusal. Returns whether to report it.
    pub(crate) fn refused(&self, source: Option<IpAddr>) -> bool {
        let mut counts = self.0.locked();
        let all = counts.all.map_or_else(Count::new, Count::next);
        counts.all = Some(all);
        if let Some(source) = source.map(Source::from) {
            counts.make_room();
            if counts.sources.len() < SOURCES || counts.sources.contains_key(&source) {
                let count = counts.sources.get(&source).copied();
                counts.sources.insert(source, count.map_or_else(Count::new, Count::next));
            }
        }
        all.number <= IN_ALL
    }
}

impl Counts {
    fn make_room(&mut self) {
        let is_due = self.swept.is_none_or(|at| at.elapsed() >= SWEEP);
        if self.sources.len() >= SOURCES && is_due {
            self.sources.retain(|_, count| count.is_running());
            self.swept = Some(Instant::now());
        }
    }
}

impl Count {
    fn new() -> Self {
        Self { since: Instant::now(), number: 1 }
    }

    fn is_running(&self) -> bool {
        self.since.elapsed() < WINDOW
    }

    fn next(self) -> Self {
        if !self.is_running() {
            return Self::new();
        }
        Self { number: self.number.saturating_add(1), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{advance, pause};

    #[tokio::test]
    async fn who_guesses_is_not_heard_for_a_while_and_others_are() {
        pause();
        let refusals = Refusals::default();
        let source = |text: &str| Some(text.parse().unwrap());
        for _ in 0..PER_SOURCE {
            assert!(refusals.may_fail(source("2001:db8::1")));
            assert!(refusals.refused(source("2001:db8::2")));
        }
        assert!(!refusals.may_fail(source("2001:db8::3")));
        assert!(
            refusals.may_fail(source("2001:db8:0:1::3")) && refusals.may_fail(source("192.0.2.1"))
        );
        advance(WINDOW).await;
        assert!(refusals.may_fail(source("2001:db8::3")));
    }

    #[tokio::test]
    async fn a_crowd_of_sources_takes_bounded_room_and_is_told_of_only_so_often() {
        pause();
        let refusals = Refusals::default();
        let source = |number: u32| Some(IpAddr::from(number.to_be_bytes()));
        let told = (0..100_000).filter(|number| refusals.refused(source(*number))).count();
        assert_eq!(told, 3000);
        assert_eq!(refusals.0.lock().unwrap().sources.len(), SOURCES);
        assert!(!refusals.may_fail(source(200_000)), "all of them are one that guesses");
        advance(WINDOW).await;
        assert!(refusals.may_fail(source(200_000)) && refusals.refused(source(1)));
    }

    #[tokio::test]
    async fn a_crowd_of_sources_is_not_looked_through_with_each_of_its_requests() {
        pause();
        let refusals = Refusals::default();
        let refused = |numbers: std::ops::Range<usize>| {
            for number in numbers {
                refusals.refused(Some(IpAddr::from(u32::try_from(number).unwrap().to_be_bytes())));
            }
            let counts = refusals.0.lock().unwrap();
            (counts.swept, counts.sources.len())
        };
        assert_eq!(refused(0..SOURCES), (None, SOURCES), "there is room");
        let first = refused(SOURCES..SOURCES + 1).0;
        assert!(first.is_some());
        advance(SWEEP / 2).await;
        assert_eq!(refused(SOURCES..SOURCES + 1000), (first, SOURCES));
        advance(WINDOW).await;
        let (swept, left) = refused(SOURCES..SOURCES + 1000);
        assert!(swept > first && left == 1000, "{left} are remembered");
    }
}
