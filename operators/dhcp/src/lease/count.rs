//! How many leases there are, by state.

use super::{Leases, State, pool::Pool};
use crate::address::Address;
use jiff::Timestamp;

/// Leases by state at one point in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Addresses in all ranges.
    pub pool: usize,
    /// Offered.
    pub offered: usize,
    /// In use.
    pub bound: usize,
    /// In quarantine.
    pub declined: usize,
    /// Ended, and kept for their clients.
    pub past: usize,
    /// Addresses of ranges that no client has, and that are kept for recorded BMCs.
    pub kept: usize,
}

impl<A: Address> Leases<A> {
    /// The leases by state at `now`.
    pub fn count(&self, now: Timestamp) -> Count {
        let pool = self.pools.iter().map(Pool::len).sum();
        let mut count = Count { pool, ..Count::default() };
        for lease in self.by_address.values() {
            let counter = match lease.state {
                _ if !lease.holds(now) => &mut count.past,
                State::Offered => &mut count.offered,
                State::Bound => &mut count.bound,
                State::Declined => &mut count.declined,
                State::Released => &mut count.past,
            };
            *counter += 1;
        }
        let is_bound = |address: A| self.get(address).is_some_and(|lease| lease.is_bound(now));
        let is_away = |address: &&A| self.pool_of(**address).is_some() && !is_bound(**address);
        count.kept = self.kept.keys().filter(is_away).count();
        count
    }
}
