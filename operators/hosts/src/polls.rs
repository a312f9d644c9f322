//! Hosts that wait for another release. Each takes a connection while nothing happens on it.

use metal_base::Locked;
use std::{collections::HashMap, sync::Mutex};
use tokio_util::sync::CancellationToken;

/// Hosts that may wait at a time: half of the connections of a port, so that others find room.
const PLACES: usize = 2048;

/// Those that wait, by the UID of their Host.
#[derive(Debug, Default)]
pub(crate) struct Polls(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    of: HashMap<String, (u64, CancellationToken)>,
    begun: u64,
}

/// A Host that waits, until this is dropped.
#[derive(Debug)]
pub(crate) struct Poll<'a> {
    polls: &'a Polls,
    uid: String,
    number: u64,
    /// Ends when the same Host asks again.
    pub(crate) replaced: CancellationToken,
}

impl Polls {
    /// Has the Host of this UID wait, and ends what it waited for before; `None` if too many do.
    pub(crate) fn begin(&self, uid: &str) -> Option<Poll<'_>> {
        let mut all = self.0.locked();
        if all.of.len() >= PLACES && !all.of.contains_key(uid) {
            return None;
        }
        all.begun = all.begun.wrapping_add(1);
        let (uid, number, replaced) = (uid.to_owned(), all.begun, CancellationToken::new());
        if let Some((_, before)) = all.of.insert(uid.clone(), (number, replaced.clone())) {
            before.cancel();
        }
        Some(Poll { polls: self, uid, number, replaced })
    }
}

impl Drop for Poll<'_> {
    fn drop(&mut self) {
        let mut all = self.polls.0.locked();
        if all.of.get(&self.uid).is_some_and(|(number, _)| *number == self.number) {
            all.of.remove(&self.uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_connections_wait_and_each_host_once() {
        let polls = Polls::default();
        let first = polls.begin("a").unwrap();
        let second = polls.begin("a").unwrap();
        assert!(first.replaced.is_cancelled() && !second.replaced.is_cancelled());
        drop(first);
        let others: Vec<_> = (1..PLACES).filter_map(|uid| polls.begin(&uid.to_string())).collect();
        assert_eq!(others.len(), PLACES - 1, "the first has gone, the second waits");
        assert!(polls.begin("b").is_none());
        assert!(polls.begin("a").is_some(), "that takes no more room");
        drop(others);
        assert!(polls.begin("b").is_some());
    }
}
