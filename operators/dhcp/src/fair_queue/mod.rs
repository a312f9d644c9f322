//! A queue for packets, when more arrive than can be answered.
//!
//! Anybody can send packets under any name, so the harm that a flood can do to others is limited
//! twice: known sources come before unknown ones, and among equals each source gets a turn, however
//! many packets it sends. When the queue is full, the source with the most packets loses its oldest
//! one; if all have just one, the oldest packet is dropped.
//!
//! ```text
//!  packet ─► lane of its priority ─► queue of its source ─┬─ turn ─► answered
//!                                                         └─ no room: dropped
//! ```

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    hash::Hash,
};

/// Every how many turns the least known sources come first, so that they never wait forever.
const UNKNOWN_FIRST_EVERY: u64 = 4;

/// How well a source is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// Anybody.
    Unknown,
    /// Its address is one of ours.
    Local,
    /// It has been served before.
    Known,
}

const LANES: usize = Priority::Known as usize + 1;

/// Packets that are waiting.
#[derive(Debug)]
pub struct FairQueue<K, T> {
    room: usize,
    lanes: [Lane<K, T>; LANES],
    /// Number of turns so far.
    turns: u64,
}

#[derive(Debug)]
struct Lane<K, T> {
    queues: HashMap<K, Queue<T>>,
    /// Sources by turn.
    order: BTreeMap<u64, K>,
    /// Sources by length of queue, and among equals by how long they have waited.
    longest: BTreeSet<(usize, Reverse<u64>, K)>,
    len: usize,
    /// The next number for a packet or turn.
    next: u64,
}

#[derive(Debug)]
struct Queue<T> {
    ticket: u64,
    packets: VecDeque<(u64, T)>,
}

impl<K: Clone + Hash + Ord, T> FairQueue<K, T> {
    /// A queue for this many packets.
    pub fn new(room: usize) -> Self {
        let lanes = std::array::from_fn(|_| Lane::default());
        Self { room: room.max(1), lanes, turns: 0 }
    }

    /// Adds a packet. Returns a packet that was dropped to make room, possibly this one.
    pub fn push(&mut self, priority: Priority, source: K, packet: T) -> Option<T> {
        self.lanes[priority as usize].push(source, packet);
        if self.len() <= self.room {
            return None;
        }
        // No priority may take up all of the room.
        let share = self.room / (LANES + 1);
        self.lanes.iter_mut().find(|lane| lane.len > share)?.drop_one()
    }

    /// The next packet.
    pub fn pop(&mut self) -> Option<T> {
        self.turns += 1;
        let is_last_first = self.turns.is_multiple_of(UNKNOWN_FIRST_EVERY);
        let mut waiting = self.lanes.iter_mut().filter(|lane| lane.len > 0);
        let lane = if is_last_first { waiting.next() } else { waiting.next_back() };
        lane?.pop()
    }

    /// Removes a packet of a source ahead of its turn.
    pub fn remove(&mut self, source: &K, is_it: impl Fn(&T) -> bool) -> Option<T> {
        self.lanes.iter_mut().find_map(|lane| lane.remove(source, &is_it))
    }

    /// The number of packets waiting.
    pub fn len(&self) -> usize {
        self.lanes.iter().map(|lane| lane.len).sum()
    }

    /// Whether no packet is waiting.
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
            let rank = (queue.packets.len(), queue.since(), source.clone());
            self.longest.remove(&rank);
            queue.packets.push_back((number, packet));
            self.longest.insert((queue.packets.len(), rank.1, source));
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
        let index = packets.iter().position(|(_, packet)| is_it(packet))?;
        self.take_at(source, index)
    }

    /// Removes a packet of a source, and the source with its last one.
    fn take_at(&mut self, source: &K, index: usize) -> Option<T> {
        let ticket = self.queues.get(source)?.ticket;
        let packet = self.take(source, index);
        if !self.queues.contains_key(source) {
            self.order.remove(&ticket);
        }
        packet
    }

    fn take(&mut self, source: &K, index: usize) -> Option<T> {
        let queue = self.queues.get_mut(source)?;
        self.longest.remove(&(queue.packets.len(), queue.since(), source.clone()));
        let (_, packet) = queue.packets.remove(index)?;
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
