//! Packets that wait for their turn, when more come than can be answered.
//!
//! Anybody can send packets in anybody's name, so what a flood may cost others is bounded twice:
//! who is known comes before who is not, and among equals each source has its turn, whatever it
//! sends. Where there is no room, the source with the most packets loses its oldest one, and where
//! all have one, the oldest goes.
//!
//! ```text
//!  packet ─► lane of its standing ─► queue of its source ─┬─ turn ─► answered
//!                                                         └─ no room: dropped
//! ```

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    hash::Hash,
};

/// Every how many turns it is that of the least known, so that nobody waits for ever.
const LAST_SHALL_BE_FIRST: u64 = 4;

/// How well a source is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Standing {
    /// Anybody.
    Stranger,
    /// Its address is one of ours.
    Local,
    /// It was there before.
    Known,
}

const LANES: usize = Standing::Known as usize + 1;

/// Packets that wait.
#[derive(Debug)]
pub struct Intake<K, T> {
    room: usize,
    lanes: [Lane<K, T>; LANES],
    /// How many have had their turn.
    turns: u64,
}

#[derive(Debug)]
struct Lane<K, T> {
    queues: HashMap<K, Queue<T>>,
    /// Whose turn it is, in order.
    order: BTreeMap<u64, K>,
    /// Which queue is the longest, and of those the one that has waited for the longest time.
    longest: BTreeSet<(usize, Reverse<u64>, K)>,
    len: usize,
    /// Numbers packets and turns.
    next: u64,
}

#[derive(Debug)]
struct Queue<T> {
    ticket: u64,
    packets: VecDeque<(u64, T)>,
}

impl<K: Clone + Hash + Ord, T> Intake<K, T> {
    /// One that keeps so many packets.
    pub fn new(room: usize) -> Self {
        let lanes = std::array::from_fn(|_| Lane::default());
        Self { room: room.max(1), lanes, turns: 0 }
    }

    /// Takes a packet in, and returns one that has no room any more: maybe this one.
    pub fn push(&mut self, standing: Standing, source: K, packet: T) -> Option<T> {
        self.lanes[standing as usize].push(source, packet);
        if self.len() <= self.room {
            return None;
        }
        // Nobody has all of the room, however well known.
        let share = self.room / (LANES + 1);
        self.lanes.iter_mut().find(|lane| lane.len > share)?.drop_one()
    }

    /// The packet whose turn it is.
    pub fn pop(&mut self) -> Option<T> {
        self.turns += 1;
        let is_last_first = self.turns.is_multiple_of(LAST_SHALL_BE_FIRST);
        let mut waiting = self.lanes.iter_mut().filter(|lane| lane.len > 0);
        let lane = if is_last_first { waiting.next() } else { waiting.next_back() };
        lane?.pop()
    }

    /// Takes a packet of a source out of its turn.
    pub fn remove(&mut self, source: &K, is_it: impl Fn(&T) -> bool) -> Option<T> {
        self.lanes.iter_mut().find_map(|lane| lane.remove(source, &is_it))
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.lanes.iter().map(|lane| lane.len).sum()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Clone + Hash + Ord, T> Lane<K, T> {
    fn push(&mut self, source: K, packet: T) {
        self.len += 1;
        self.next += 1;
        let number = self.next;
        if let Some(queue) = self.queues.get_mut(&source) {
            let place = (queue.packets.len(), queue.since(), source.clone());
            self.longest.remove(&place);
            queue.packets.push_back((number, packet));
            self.longest.insert((queue.packets.len(), place.1, source));
            return;
        }
        self.order.insert(number, source.clone());
        self.longest.insert((1, Reverse(number), source.clone()));
        self.queues.insert(source, Queue { ticket: number, packets: [(number, packet)].into() });
    }

    fn pop(&mut self) -> Option<T> {
        let (_, source) = self.order.pop_first()?;
        let packet = self.take(&source, 0)?;
        if let Some(queue) = self.queues.get_mut(&source) {
            self.next += 1;
            queue.ticket = self.next;
            self.order.insert(queue.ticket, source);
        }
        Some(packet)
    }

    fn drop_one(&mut self) -> Option<T> {
        let (.., source) = self.longest.last()?.clone();
        self.take_at(&source, 0)
    }

    fn remove(&mut self, source: &K, is_it: impl Fn(&T) -> bool) -> Option<T> {
        let packets = &self.queues.get(source)?.packets;
        let place = packets.iter().position(|(_, packet)| is_it(packet))?;
        self.take_at(source, place)
    }

    /// A packet of a source; its turn goes with the last one.
    fn take_at(&mut self, source: &K, place: usize) -> Option<T> {
        let ticket = self.queues.get(source)?.ticket;
        let packet = self.take(source, place);
        if !self.queues.contains_key(source) {
            self.order.remove(&ticket);
        }
        packet
    }

    fn take(&mut self, source: &K, place: usize) -> Option<T> {
        let queue = self.queues.get_mut(source)?;
        self.longest.remove(&(queue.packets.len(), queue.since(), source.clone()));
        let (_, packet) = queue.packets.remove(place)?;
        self.len -= 1;
        if queue.packets.is_empty() {
            self.queues.remove(source);
        } else {
            self.longest.insert((queue.packets.len(), queue.since(), source.clone()));
        }
        Some(packet)
    }
}

impl<T> Queue<T> {
    fn since(&self) -> Reverse<u64> {
        Reverse(self.packets.front().map_or(self.ticket, |(number, _)| *number))
    }
}

impl<K, T> Default for Lane<K, T> {
    fn default() -> Self {
        Self {
            queues: HashMap::new(),
            order: BTreeMap::new(),
            longest: BTreeSet::new(),
            len: 0,
            next: 0,
        }
    }
}

#[cfg(test)]
mod tests;
