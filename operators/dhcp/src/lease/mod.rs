//! Who has which address.

pub(crate) mod claim;
mod count;
mod forgotten_offers;
pub mod object;
pub(crate) mod pool;
pub mod record;
mod suspected_declines;

pub use count::Count;
pub(crate) use forgotten_offers::OFFER_TIME;

use crate::{address::Address, client::Client, fair_queue::Priority};
use forgotten_offers::ForgottenOffers;
use jiff::{SignedDuration, Timestamp};
use metal_api::MacAddr;
use pool::Pool;
use std::{
    collections::{BTreeSet, HashMap},
    net::Ipv4Addr,
    ops::RangeInclusive,
};
use suspected_declines::SuspectedDeclines;

/// How long an address that was found in use is not assigned.
pub(crate) const DECLINE_TIME: SignedDuration = SignedDuration::from_hours(1);

/// The longest time for which the configuration may give a lease.
pub(crate) const MAX_LEASE_TIME: SignedDuration = SignedDuration::from_hours(24 * 366);
/// No lease lasts longer, not even one of the other instance, whose end is only known by its object.
const LONGEST: SignedDuration = MAX_LEASE_TIME.saturating_add(SignedDuration::from_hours(24));

/// The state of one address. Also the unit in which changes are recorded: a newer lease of an
/// address replaces the older one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease<A = Ipv4Addr> {
    /// The address.
    pub address: A,
    /// The client that has it, or had it last.
    pub client: Client,
    /// State of the lease.
    pub state: State,
    /// When it ends; after that, the address may be assigned to another client.
    pub until: Timestamp,
    /// What it is bound to within the client, if that matters: in DHCPv6, a client identifier and
    /// an identity association. `None` if unknown.
    pub binding: Option<u64>,
}

/// The state of a lease.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, strum::Display, strum::EnumString,
)]
#[strum(serialize_all = "lowercase")]
pub enum State {
    /// Offered and not requested yet. Not recorded: for a while after a restart, requests are granted without it.
    Offered,
    /// Acknowledged.
    Bound,
    /// Released. Kept so that its client gets it again, unless another client needs it first.
    Released,
    /// Found in use by its client, and not assigned to anybody for a while.
    Declined,
}

impl<A: Clone> Lease<A> {
    /// Whether it must be recorded before an answer may depend on it.
    pub fn is_durable(&self) -> bool {
        self.state != State::Offered
    }

    /// Whether it keeps other clients from getting the address.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until > now && self.state != State::Released
    }

    /// Whether its client uses the address.
    pub fn is_bound(&self, now: Timestamp) -> bool {
        self.state == State::Bound && self.until > now
    }

    /// The lease of an address that was found in use by somebody.
    #[must_use]
    pub fn declined(&self, now: Timestamp) -> Self {
        let until = now.saturating_add(DECLINE_TIME).unwrap_or(Timestamp::MAX);
        let until = Timestamp::from_second(until.as_second()).unwrap_or(until);
        Self { state: State::Declined, until, ..self.clone() }
    }

    /// The lease, ended now. An offer leaves nothing to record.
    #[must_use]
    pub(crate) fn ended(&self, now: Timestamp) -> Self {
        let state = match self.state {
            State::Offered => State::Offered,
            State::Bound | State::Released | State::Declined => State::Released,
        };
        let until = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Self { state, until, ..self.clone() }
    }

    /// The lease after the clock was set by this much from `before`; its remaining time is unchanged.
    #[must_use]
    pub fn shifted(&self, by: SignedDuration, before: Timestamp) -> Self {
        Self { until: shifted(self.until, by, before), ..self.clone() }
    }

    /// The lease, with its address in another representation.
    pub fn at<B>(&self, address: B) -> Lease<B> {
        let Self { client, state, until, binding, .. } = self;
        let client = client.clone();
        Lease { address, client, state: *state, until: *until, binding: *binding }
    }

    /// Whether the address may not be assigned to anybody, including its client.
    pub(crate) fn is_quarantined(&self, now: Timestamp) -> bool {
        self.state == State::Declined && self.until > now
    }
}

/// Whether a lease that ends then cannot have been given by now.
#[must_use]
pub fn outlasts_all(until: Timestamp, now: Timestamp) -> bool {
    until.duration_since(now) > LONGEST
}

/// The end of a lease, in whole seconds, after the clock was set by this much from `before`.
///
/// One that would have lasted for longer than any lease does was recorded before the machine was
/// switched off, and its clock started too early since: its end is right by the clock as it is now.
#[must_use]
pub fn shifted(until: Timestamp, by: SignedDuration, before: Timestamp) -> Timestamp {
    if outlasts_all(until, before) {
        return until;
    }
    let limit = if by.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
    let until = until.saturating_add(by).unwrap_or(limit);
    Timestamp::from_second(until.as_second()).unwrap_or(until)
}

/// All leases, and the pools that new ones are taken from.
///
/// Bounded: there is at most one lease per address of the configuration, however many clients there
/// are or claim to be. Every operation is a look-up or a search in a bitmap.
#[derive(Clone, Debug)]
pub struct Leases<A = Ipv4Addr> {
    by_address: HashMap<A, Lease<A>>,
    by_client: HashMap<Client, Vec<A>>,
    /// Offers, including expired ones, by their ends.
    offers: BTreeSet<(Timestamp, A)>,
    forgotten: ForgottenOffers,
    /// By first address.
    pools: Vec<Pool<A>>,
    /// Addresses that are recorded for BMCs.
    kept: HashMap<A, MacAddr>,
    /// Addresses that their clients seem to have declined.
    doubted: SuspectedDeclines<A>,
}

/// How many leases are searched for an offer whose address can be offered to another client. They
/// are ordered by their ends, and offers end within a minute, so only leases that are about to end
/// come before them.
const MOST_ENDS: usize = 256;

/// How many offers are remembered. Anybody can get one, under any name; beyond this number, the
/// oldest are dropped, and those that clients request later are granted as after a restart.
pub(crate) const MOST_OFFERS: usize = 1 << 14;

impl<A: Address> Leases<A> {
    /// Replaces the pools. Leases are kept, except those that have ended, are in no pool and are
    /// not reserved.
    pub(crate) fn replace_pools(
        &mut self,
        pools: Vec<Pool<A>>,
        is_reserved: impl Fn(A) -> bool,
        now: Timestamp,
    ) {
        self.pools = pools;
        self.pools.sort_unstable_by_key(Pool::first);
        let old = std::mem::take(&mut self.by_address);
        self.by_client.clear();
        self.offers.clear();
        for lease in old.into_values() {
            let address = lease.address;
            if lease.until > now || self.pool_of(address).is_some() || is_reserved(address) {
                self.apply(lease);
            }
        }
    }

    /// The leases that a client has or had, in any subnet.
    pub(crate) fn owned_by(&self, client: &Client) -> impl Iterator<Item = &Lease<A>> {
        let addresses = self.by_client.get(client).into_iter().flatten();
        addresses.filter_map(|address| self.by_address.get(address))
    }

    /// How well a client is known. One that only has an offer is about to request it.
    pub fn priority_of(&self, client: &Client) -> Priority {
        let is_offer = |lease: &Lease<A>| lease.state == State::Offered;
        let known = self
            .owned_by(client)
            .map(|lease| if is_offer(lease) { Priority::Local } else { Priority::Known });
        known.max().unwrap_or(Priority::Unknown)
    }

    /// The lease with the latest end that a client has outside of some addresses.
    pub fn bound_elsewhere(
        &self,
        client: &Client,
        within: &RangeInclusive<A>,
        now: Timestamp,
    ) -> Option<(A, Timestamp)> {
        let outside = self.owned_by(client).filter(|lease| !within.contains(&lease.address));
        let bound = outside.filter(|lease| lease.is_bound(now));
        bound
            .map(|lease| (lease.address, lease.until))
            .max_by_key(|(address, until)| (*until, *address))
    }

    /// Records a lease.
    pub fn apply(&mut self, lease: Lease<A>) {
        let (address, until) = (lease.address, lease.until);
        if lease.state == State::Bound {
            self.doubted.clear(address);
        }
        let old = self.by_address.get(&address);
        let (before, same_client) =
            (old.map(|old| old.until), old.is_some_and(|old| old.client == lease.client));
        if let Some(pool) = self.pool_of(address) {
            self.pools[pool].note(address, before, until);
        }
        if old.is_some_and(|old| old.state == State::Offered) {
            self.offers.remove(&(before.unwrap_or(until), address));
        }
        if lease.state == State::Offered {
            self.offers.insert((until, address));
        }
        if !same_client {
            self.disown(address);
            self.by_client.entry(lease.client.clone()).or_default().push(address);
        }
        self.by_address.insert(address, lease);
        if self.offers.len() > MOST_OFFERS
            && let Some((until, oldest)) = self.offers.pop_first()
        {
            self.forgotten.note(until);
            self.forget(oldest);
        }
    }

    /// The client of an address seems to have declined it, but anybody may have said so. Its lease is
    /// untouched, and it goes on if the client renews it; but if the client starts over, it is offered
    /// another address, if there is one.
    pub fn doubt(&mut self, address: A, now: Timestamp) {
        self.doubted.note(address, now);
    }

    /// Withdraws the offer of an address, as if it had never been made.
    pub fn withdraw(&mut self, address: A) {
        let is_offer = |lease: &Lease<A>| lease.state == State::Offered;
        if let Some(offer) = self.by_address.get(&address).filter(|lease| is_offer(lease)) {
            self.offers.remove(&(offer.until, address));
            self.forget(address);
        }
    }

    /// Forgets an address, as if it had never been offered.
    fn forget(&mut self, address: A) {
        self.disown(address);
        let Some(old) = self.by_address.remove(&address) else { return };
        if let Some(pool) = self.pool_of(address) {
            self.pools[pool].forget(address, old.until);
        }
    }

    fn disown(&mut self, address: A) {
        let Some(old) = self.by_address.get(&address) else { return };
        if let Some(addresses) = self.by_client.get_mut(&old.client) {
            addresses.retain(|&other| other != address);
            if addresses.is_empty() {
                self.by_client.remove(&old.client);
            }
        }
    }

    /// The lease of an address.
    pub fn get(&self, address: A) -> Option<&Lease<A>> {
        self.by_address.get(&address)
    }

    /// All leases, by address.
    pub fn all(&self) -> Vec<&Lease<A>> {
        let mut all: Vec<_> = self.by_address.values().collect();
        all.sort_unstable_by_key(|lease| lease.address);
        all
    }

    /// The number of leases.
    pub fn len(&self) -> usize {
        self.by_address.len()
    }

    /// Whether there are no leases.
    pub fn is_empty(&self) -> bool {
        self.by_address.is_empty()
    }

    /// From now on these addresses are given to nobody but the BMCs that they are recorded for, and
    /// no others are kept.
    pub fn keep_for(&mut self, bmcs: HashMap<A, MacAddr>) {
        self.kept = bmcs;
    }

    /// Whether an address is kept for another client than the one with this MAC address.
    pub(crate) fn is_kept_from(&self, address: A, mac: Option<MacAddr>) -> bool {
        self.kept.get(&address).is_some_and(|owner| Some(*owner) != mac)
    }

    /// An address among `within` for a client without one: first one without any lease, then the
    /// one whose lease ended first; each from our own pools, then from those of the other instance;
    /// finally, the one with the oldest offer. Never one that `is_barred`.
    pub(crate) fn pick_within(
        &self,
        within: &RangeInclusive<A>,
        client: &Client,
        is_barred: impl Fn(A) -> bool,
        now: Timestamp,
    ) -> Option<A> {
        let seed = fnv1a(client.bytes());
        let pools = self.pools_in(within);
        let shift = usize::try_from(seed >> 32).unwrap_or_default() % pools.len().max(1);
        let free = |is_spare: bool| {
            let such = |pool: &&Pool<A>| pool.is_spare() == is_spare;
            let mut in_turn = pools[shift..].iter().chain(&pools[..shift]).filter(such);
            in_turn.find_map(|pool| pool.unused(seed, &is_barred)).or_else(|| {
                let ends = pools.iter().filter(such).filter_map(|pool| pool.oldest(&is_barred));
                ends.min().filter(|(end, _)| *end <= now).map(|(_, address)| address)
            })
        };
        let offered = || {
            let is_offer =
                |address: &A| self.get(*address).is_some_and(|lease| lease.state == State::Offered);
            let offers = pools.iter().flat_map(|pool| pool.ends(&is_barred).take(MOST_ENDS));
            let offers = offers.filter(|(_, address)| is_offer(address));
            offers.min().map(|(_, address)| address)
        };
        free(false).or_else(|| free(true)).or_else(offered)
    }

    /// Whether a new client can only get an address that is offered to another one, and none that
    /// `is_barred`.
    pub(crate) fn is_short_within(
        &self,
        within: &RangeInclusive<A>,
        is_barred: impl Fn(A) -> bool,
        now: Timestamp,
    ) -> bool {
        let is_taken = |pool: &Pool<A>| {
            let oldest = pool.oldest(&is_barred);
            pool.unused(0, &is_barred).is_none() && oldest.is_none_or(|(end, _)| end > now)
        };
        self.pools_in(within).iter().all(is_taken)
    }

    fn pools_in(&self, within: &RangeInclusive<A>) -> &[Pool<A>] {
        let begin = self.pools.partition_point(|pool| pool.first() < *within.start());
        let end = self.pools.partition_point(|pool| pool.first() <= *within.end());
        &self.pools[begin..end]
    }

    fn pool_of(&self, address: A) -> Option<usize> {
        let behind = self.pools.partition_point(|pool| pool.first() <= address);
        behind.checked_sub(1).filter(|&index| self.pools[index].contains(address))
    }
}

impl<A> Default for Leases<A> {
    /// No leases, and no pools.
    fn default() -> Self {
        let (by_address, by_client) = (HashMap::new(), HashMap::new());
        let (offers, forgotten) = (BTreeSet::new(), ForgottenOffers::default());
        let (pools, kept, doubted) = (Vec::new(), HashMap::new(), SuspectedDeclines::default());
        Self { by_address, by_client, offers, forgotten, pools, kept, doubted }
    }
}

/// The FNV-1a hash. Unlike that of a map's hasher, it is the same for a client in every process.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
