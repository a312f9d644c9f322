//! One range of addresses: which are taken, and which can be taken back first.

use jiff::Timestamp;
use std::{
    collections::{BTreeSet, HashSet},
    net::Ipv4Addr,
    ops::RangeInclusive,
};

const WORD: usize = u64::BITS as usize;

/// A range. An address is *taken* while a lease of any state names it, or while it is set aside.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    first: u32,
    len: usize,
    taken: Vec<u64>,
    free: usize,
    /// Addresses that are not given to anybody who asks.
    aside: HashSet<Ipv4Addr>,
    /// The others that have a lease, by its end.
    ends: BTreeSet<(Timestamp, u32)>,
}

impl Pool {
    pub(super) fn new(range: &RangeInclusive<Ipv4Addr>) -> Self {
        let (first, last) = (range.start().to_bits(), range.end().to_bits());
        let len = (last - first) as usize + 1;
        let taken = vec![0; len.div_ceil(WORD)];
        Self { first, len, taken, free: len, aside: HashSet::new(), ends: BTreeSet::new() }
    }

    pub(super) fn contains(&self, address: Ipv4Addr) -> bool {
        self.position(address).is_some()
    }

    pub(super) fn first(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Takes an address out for good.
    pub(super) fn set_aside(&mut self, address: Ipv4Addr) {
        if let Some(position) = self.position(address) {
            self.aside.insert(address);
            self.take(position);
        }
    }

    /// Notes that the lease of an address ends at `until` instead of `before`.
    pub(super) fn note(&mut self, address: Ipv4Addr, before: Option<Timestamp>, until: Timestamp) {
        let Some(position) = self.position(address) else { return };
        if self.aside.contains(&address) {
            return;
        }
        if let Some(before) = before {
            self.ends.remove(&(before, address.to_bits()));
        }
        self.ends.insert((until, address.to_bits()));
        self.take(position);
    }

    /// An address that nobody has, the next one after a place that depends on `seed`, so that a
    /// client finds the same one again if its lease was lost.
    pub(super) fn unused(&self, seed: u64, except: Ipv4Addr) -> Option<Ipv4Addr> {
        if self.free == 0 {
            return None;
        }
        let start = usize::try_from(seed % self.len as u64).unwrap_or_default();
        let words = self.taken.len();
        // The first word twice: once from the start on, once up to it.
        (0..=words).find_map(|step| {
            let index = (start / WORD + step) % words;
            let behind_start = u64::MAX << (start % WORD);
            let mask = match step {
                0 => behind_start,
                _ if step == words => !behind_start,
                _ => u64::MAX,
            };
            self.first_free(index, mask, except)
        })
    }

    fn first_free(&self, index: usize, mask: u64, except: Ipv4Addr) -> Option<Ipv4Addr> {
        let mut free = !self.taken[index] & mask;
        while free != 0 {
            let position = index * WORD + free.trailing_zeros() as usize;
            let address = self.address(position)?;
            if address != except {
                return Some(address);
            }
            free &= free - 1;
        }
        None
    }

    /// The end that is longest past, and its address.
    pub(super) fn oldest(&self, except: Ipv4Addr) -> Option<(Timestamp, Ipv4Addr)> {
        self.ends(except).next()
    }

    /// The ends of its leases, and their addresses, in order.
    pub(super) fn ends(&self, except: Ipv4Addr) -> impl Iterator<Item = (Timestamp, Ipv4Addr)> {
        let ends = self.ends.iter().map(|&(end, bits)| (end, Ipv4Addr::from_bits(bits)));
        ends.filter(move |&(_, address)| address != except)
    }

    fn position(&self, address: Ipv4Addr) -> Option<usize> {
        let offset = address.to_bits().checked_sub(self.first)? as usize;
        (offset < self.len).then_some(offset)
    }

    fn address(&self, position: usize) -> Option<Ipv4Addr> {
        let offset = u32::try_from(position).ok().filter(|_| position < self.len)?;
        Some(Ipv4Addr::from_bits(self.first + offset))
    }

    fn take(&mut self, position: usize) {
        let bit = 1 << (position % WORD);
        let word = &mut self.taken[position / WORD];
        self.free -= usize::from(*word & bit == 0);
        *word |= bit;
    }
}
