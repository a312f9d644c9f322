//! One range of addresses: which are taken, and which can be reclaimed first.

use crate::{
    address::Address,
    sharding::{Instances, Sharing},
};
use jiff::Timestamp;
use std::{
    collections::{BTreeSet, HashSet},
    ops::RangeInclusive,
};

const WORD: usize = u64::BITS as usize;
/// A client gets an address in this part of the range, behind the place from which one is searched for it, unless no
/// more than this part is unused.
const NEAR: usize = 16;
/// Or among so many addresses, in a small range.
const LEAST_NEAR: usize = 16;

/// A range. An address is *taken* while it has a lease in any state, or while it is set aside.
#[derive(Clone, Debug)]
pub(crate) struct Pool<A> {
    first: A,
    len: usize,
    taken: Vec<u64>,
    free: usize,
    /// Addresses that are not available to every client.
    aside: HashSet<A>,
    /// Other addresses that have a lease, by its end.
    ends: BTreeSet<(Timestamp, A)>,
    /// The pool belongs to the other instance: new clients get its addresses only if there are no
    /// others.
    is_spare: bool,
}

impl<A: Address> Pool<A> {
    /// A range with one bit of memory for each address, whose size the configuration limits.
    pub(crate) fn new(range: &RangeInclusive<A>) -> Self {
        let (first, last) = (*range.start(), *range.end());
        let len = usize::try_from(last.number() - first.number()).unwrap_or(usize::MAX - 1) + 1;
        let taken = vec![0; len.div_ceil(WORD)];
        Self {
            first,
            len,
            taken,
            free: len,
            aside: HashSet::new(),
            ends: BTreeSet::new(),
            is_spare: false,
        }
    }

    /// The pools of a range: ours, and the other instance's if we may have to take it over.
    pub(crate) fn of(
        range: &RangeInclusive<A>,
        instances: Option<Instances>,
    ) -> impl Iterator<Item = Self> {
        let own = instances.map_or_else(|| Some(range.clone()), |it| it.own(range));
        let heir = instances.filter(|it| it.mode == Sharing::Standby);
        let spare = heir.and_then(|it| it.others(range));
        let spare = spare.map(|range| Self { is_spare: true, ..Self::new(&range) });
        own.map(|range| Self::new(&range)).into_iter().chain(spare)
    }

    pub(crate) fn is_spare(&self) -> bool {
        self.is_spare
    }

    pub(crate) fn contains(&self, address: A) -> bool {
        self.position(address).is_some()
    }

    pub(crate) fn first(&self) -> A {
        self.first
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Sets an address aside for good.
    pub(crate) fn set_aside(&mut self, address: A) {
        if let Some(position) = self.position(address) {
            self.aside.insert(address);
            self.take(position);
        }
    }

    /// Records that the lease of an address ends at `until` instead of `before`.
    pub(crate) fn note(&mut self, address: A, before: Option<Timestamp>, until: Timestamp) {
        let Some(position) = self.position(address) else { return };
        if self.aside.contains(&address) {
            return;
        }
        if let Some(before) = before {
            self.ends.remove(&(before, address));
        }
        self.ends.insert((until, address));
        self.take(position);
    }

    /// Records that an address has no lease any longer; the last one was to end at `until`.
    pub(crate) fn forget(&mut self, address: A, until: Timestamp) {
        let Some(position) = self.position(address) else { return };
        if self.ends.remove(&(until, address)) {
            self.taken[position / WORD] &= !(1 << (position % WORD));
            self.free += 1;
        }
    }

    /// An address that nobody has: the next one from a place that depends on `seed`, so that a
    /// client finds the same one again if its lease was lost. Never one that `is_barred`.
    pub(crate) fn unused(&self, seed: u64, is_barred: impl Fn(A) -> bool) -> Option<A> {
        if self.free == 0 {
            return None;
        }
        let start = self.start(seed);
        let words = self.taken.len();
        // The first word comes twice: from its start bit on, and at the end up to it.
        (0..=words).find_map(|step| {
            let index = (start / WORD + step) % words;
            let behind_start = u64::MAX << (start % WORD);
            let mask = match step {
                0 => behind_start,
                _ if step == words => !behind_start,
                _ => u64::MAX,
            };
            self.first_free(index, mask, &is_barred)
        })
    }

    /// Whether a client with this seed may have been given an address, as an unused one or because there was none,
    /// whatever has become unused since.
    pub(crate) fn may_have_picked(&self, seed: u64, address: A) -> bool {
        let (start, near) = (self.start(seed), (self.len / NEAR).max(LEAST_NEAR));
        let is_near = |position: usize| (position + self.len - start) % self.len <= near;
        self.position(address).is_some_and(|position| self.free <= near || is_near(position))
    }

    /// The place from which an unused address is searched.
    fn start(&self, seed: u64) -> usize {
        usize::try_from(seed % self.len as u64).unwrap_or_default()
    }

    fn first_free(&self, index: usize, mask: u64, is_barred: impl Fn(A) -> bool) -> Option<A> {
        let mut free = !self.taken[index] & mask;
        while free != 0 {
            let position = index * WORD + free.trailing_zeros() as usize;
            let address = self.address(position)?;
            if !is_barred(address) {
                return Some(address);
            }
            free &= free - 1;
        }
        None
    }

    /// The lease that ended first, as end and address.
    pub(crate) fn oldest(&self, is_barred: impl Fn(A) -> bool) -> Option<(Timestamp, A)> {
        self.ends(is_barred).next()
    }

    /// The leases by their ends, as ends and addresses.
    pub(crate) fn ends(
        &self,
        is_barred: impl Fn(A) -> bool,
    ) -> impl Iterator<Item = (Timestamp, A)> {
        self.ends.iter().copied().filter(move |&(_, address)| !is_barred(address))
    }

    fn position(&self, address: A) -> Option<usize> {
        let offset = address.number().checked_sub(self.first.number())?;
        usize::try_from(offset).ok().filter(|&offset| offset < self.len)
    }

    fn address(&self, position: usize) -> Option<A> {
        self.first.behind(position).filter(|_| position < self.len)
    }

    fn take(&mut self, position: usize) {
        let bit = 1 << (position % WORD);
        let word = &mut self.taken[position / WORD];
        self.free -= usize::from(*word & bit == 0);
        *word |= bit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn what_may_have_been_picked_is_near_its_place_or_anything_in_a_range_that_is_almost_full() {
        let address = |number: u32| Ipv4Addr::from_bits(0x0a00_0000 + number);
        let mut pool = Pool::new(&(address(0)..=address(319)));
        let picked = |pool: &Pool<Ipv4Addr>, seed| {
            (0..320).filter(|it| pool.may_have_picked(seed, address(*it))).collect::<Vec<u32>>()
        };
        assert_eq!(picked(&pool, 320), (0..=20).collect::<Vec<_>>());
        let around: Vec<_> = (0..=10).chain(310..320).collect();
        assert_eq!(picked(&pool, 310), around);
        assert!(!pool.may_have_picked(0, address(320)));
        (0..299).for_each(|number| pool.note(address(number), None, Timestamp::UNIX_EPOCH));
        assert_eq!(picked(&pool, 310), around);
        pool.note(address(299), None, Timestamp::UNIX_EPOCH);
        assert_eq!(picked(&pool, 310).len(), 320);
    }
}
