//! Hosts that ask for their release, one request each. A new request ends the previous one of the same Host,
//! whether it still waits or is being answered, so that a Host cannot have several at a time, whatever its
//! number of connections.

use crate::memory_permits::MemoryPermit;
use axum::body::Bytes;
use metal_base::Locked;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex},
};
use tokio_util::sync::CancellationToken;

/// How many Hosts may ask at a time: the connections of a port.
const ASKING: usize = 4096;

/// Those that ask, by the UID of their Host.
#[derive(Debug, Default)]
pub(crate) struct Polls {
    asking: Arc<Mutex<RunningPolls>>,
    /// Cancelled when this server is about to stop.
    closing: CancellationToken,
}

#[derive(Debug, Default)]
struct RunningPolls {
    of: HashMap<String, (u64, Arc<Answer>)>,
    begun: u64,
}

/// The answer to a Host.
#[derive(Debug, Default)]
struct Answer {
    /// The address from which it has asked.
    from: Option<IpAddr>,
    replaced: CancellationToken,
    /// What has yet to be sent, with the permit for its memory. The task that sends it may not run for minutes,
    /// so a new request of the same Host takes it away from here.
    rest: Mutex<Option<(Bytes, MemoryPermit)>>,
}

/// The request of a Host, until it is dropped.
#[derive(Debug)]
pub(crate) struct Poll {
    polls: Arc<Mutex<RunningPolls>>,
    uid: String,
    number: u64,
    answer: Arc<Answer>,
    /// From where it has asked before, if that has not ended by itself, and was elsewhere.
    pub(crate) elsewhere: Option<IpAddr>,
}

impl Polls {
    /// Has the Host of this UID ask from this address, and ends what it has asked for before; `None` if too many do.
    pub(crate) fn begin(&self, uid: &str, from: Option<IpAddr>) -> Option<Poll> {
        let mut all = self.asking.locked();
        if all.of.len() >= ASKING && !all.of.contains_key(uid) {
            return None;
        }
        all.begun = all.begun.wrapping_add(1);
        let answer = Arc::new(Answer { from, ..Answer::default() });
        let (uid, number, mut elsewhere) = (uid.to_owned(), all.begun, None);
        if let Some((_, before)) = all.of.insert(uid.clone(), (number, Arc::clone(&answer))) {
            before.replaced.cancel();
            before.rest.locked().take();
            elsewhere = before.from.filter(|_| before.from != from);
        }
        Some(Poll { polls: Arc::clone(&self.asking), uid, number, answer, elsewhere })
    }

    /// From now on no request waits: all are answered before this server stops.
    pub(crate) fn close(&self) {
        self.closing.cancel();
    }

    /// Completes when no request may wait any longer.
    pub(crate) async fn closed(&self) {
        self.closing.cancelled().await;
    }
}

impl Poll {
    /// Completes when the same Host has asked again.
    pub(crate) async fn replaced(&self) {
        self.answer.replaced.cancelled().await;
    }

    /// Keeps an answer until it is sent.
    pub(crate) fn keep(&self, bytes: Bytes, place: MemoryPermit) {
        // Under the lock under which it is replaced, or it would be kept for nobody.
        let _all = self.polls.locked();
        if !self.answer.replaced.is_cancelled() {
            *self.answer.rest.locked() = Some((bytes, place));
        }
    }

    /// The next piece of the answer, of at most this many bytes; nothing at its end.
    ///
    /// # Errors
    ///
    /// If the same Host has asked again.
    pub(crate) fn piece(&self, most: usize) -> Result<Option<Bytes>, Replaced> {
        let mut rest = self.answer.rest.locked();
        let (bytes, _) = rest.as_mut().ok_or(Replaced)?;
        let piece = bytes.split_to(bytes.len().min(most));
        // A copy: a slice would keep all of it in memory until the last piece is sent.
        Ok(Some(Bytes::copy_from_slice(&piece)).filter(|piece| !piece.is_empty()))
    }
}

/// The Host has asked again, and receives no more of its previous answer.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the same Host has asked again")]
pub(crate) struct Replaced;

impl Drop for Poll {
    fn drop(&mut self) {
        let mut all = self.polls.locked();
        if all.of.get(&self.uid).is_some_and(|(number, _)| *number == self.number) {
            all.of.remove(&self.uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory_permits::MemoryPermits;

    #[test]
    fn as_many_ask_as_there_are_connections_and_each_host_once() {
        let polls = Polls::default();
        let is_replaced = |poll: &Poll| poll.answer.replaced.is_cancelled();
        let first = polls.begin("a", None).unwrap();
        let second = polls.begin("a", None).unwrap();
        assert!(is_replaced(&first) && !is_replaced(&second));
        drop(first);
        let others: Vec<_> =
            (1..ASKING).filter_map(|uid| polls.begin(&uid.to_string(), None)).collect();
        assert_eq!(others.len(), ASKING - 1, "the first has gone, the second asks");
        assert!(polls.begin("b", None).is_none());
        assert!(polls.begin("a", None).is_some(), "that takes no more room");
        drop(others);
        assert!(polls.begin("b", None).is_some());
    }

    #[test]
    fn who_asks_again_from_elsewhere_is_known_and_who_has_ended_is_forgotten() {
        let polls = Polls::default();
        let from = |last: u8| Some(IpAddr::from([192, 0, 2, last]));
        let first = polls.begin("a", from(1)).unwrap();
        let again = polls.begin("a", from(1)).unwrap();
        let other = polls.begin("a", from(2)).unwrap();
        let elsewhere = [&first, &again, &other].map(|poll| poll.elsewhere);
        assert_eq!(elsewhere, [None, None, from(1)]);
        drop(other);
        assert_eq!(polls.begin("a", from(3)).unwrap().elsewhere, None);
    }

    #[tokio::test]
    async fn who_asks_again_takes_the_place_of_an_answer_that_nobody_looks_at() {
        let (polls, places) = (Polls::default(), MemoryPermits::default());
        let first = polls.begin("a", None).unwrap();
        first.keep(Bytes::from_static(b"abc"), places.take("org").await);
        assert_eq!(first.piece(2).unwrap().as_deref(), Some(&b"ab"[..]));
        assert_eq!(places.taken(), 1);
        let second = polls.begin("a", None).unwrap();
        assert_eq!(places.taken(), 0);
        assert!(first.piece(2).is_err());
        first.keep(Bytes::from_static(b"abc"), places.take("org").await);
        assert_eq!(places.taken(), 0, "it comes too late");
        second.keep(Bytes::from_static(b"d"), places.take("org").await);
        assert_eq!(second.piece(2).unwrap().as_deref(), Some(&b"d"[..]));
        assert_eq!(second.piece(2).unwrap(), None);
        drop((first, second));
        assert_eq!(places.taken(), 0);
    }
}
