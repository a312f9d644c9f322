//! Which addresses of its subnet a client may have: the same for both kinds of IP.

use super::{Lease, Leases, State};
use crate::{address::Address, client::Client, instances::Instances};
use jiff::{SignedDuration, Timestamp};
use metal_api::MacAddr;
use metal_core::endpoint::Sighting;
use std::ops::RangeInclusive;

/// What a client may do with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is the client's.
    Theirs,
    /// Nobody has it.
    Free,
    /// It is offered to somebody else, who has not asked for it yet.
    Offered,
    /// It is somebody else's, or none of ours.
    Refused,
}

/// A subnet, as far as leases go.
pub(crate) trait Room<A> {
    /// All of its addresses.
    fn addresses(&self) -> RangeInclusive<A>;
    /// Those that anybody may get, with what is set aside in there.
    fn ranges(&self) -> &[RangeInclusive<A>];
    /// Whether an address is one that anybody may get.
    fn is_in_pool(&self, address: A) -> bool;
}

/// A client in a subnet.
#[derive(Debug)]
pub(crate) struct Claimant<'a, A, S> {
    pub(crate) client: &'a Client,
    pub(crate) subnet: &'a S,
    pub(crate) leases: &'a Leases<A>,
    pub(crate) instances: Option<Instances>,
    /// What is reserved for it.
    pub(crate) reserved: Option<A>,
    /// Our own addresses, which nobody gets.
    pub(crate) own: &'a [A],
    pub(crate) now: Timestamp,
}

impl<'a, A: Address, S: Room<A>> Claimant<'a, A, S> {
    /// The address for a client that asks for one: what is reserved for it, what it has or had,
    /// what it wishes, or any other.
    pub(crate) fn choose(&self, mut wished: impl Iterator<Item = A>) -> Option<A> {
        let had = || {
            let mine = self.leases().filter(|lease| self.claim(lease.address) == Claim::Theirs);
            mine.max_by_key(|lease| (lease.is_bound(self.now), lease.until, lease.address))
        };
        let reserved = self.reserved.filter(|reserved| self.claim(*reserved) == Claim::Theirs);
        reserved
            .or_else(|| had().map(|lease| lease.address))
            .or_else(|| wished.find(|address| self.claim(*address) == Claim::Free))
            .or_else(|| {
                let within = self.subnet.addresses();
                self.leases.pick_within(&within, self.client, self.own_in_pool(), self.now)
            })
    }

    /// What it may do with an address.
    pub(crate) fn claim(&self, address: A) -> Claim {
        let lease = self.leases.get(address);
        let rests = lease.is_some_and(|lease| lease.is_quarantined(self.now));
        let held = lease.filter(|lease| lease.holds(self.now));
        let is_anothers = held.is_some_and(|lease| lease.client != *self.client);
        let is_offered = held.is_some_and(|lease| lease.state == State::Offered);
        if rests || (is_anothers && !is_offered) || self.own.contains(&address) {
            return Claim::Refused;
        }
        match self.reserved {
            Some(reserved) if reserved == address => return Claim::Theirs,
            // The client is to move to its own address, unless somebody else has it.
            Some(reserved) if self.is_available(reserved) => return Claim::Refused,
            Some(_) | None => {}
        }
        if !self.subnet.is_in_pool(address) || (held.is_none() && self.is_others(address)) {
            return Claim::Refused;
        }
        let is_theirs = lease.is_some_and(|lease| lease.client == *self.client);
        match (is_theirs, is_anothers) {
            (true, _) => Claim::Theirs,
            (false, true) => Claim::Offered,
            (false, false) => Claim::Free,
        }
    }

    /// Whether it gets an address that it asks for: one that is recorded as its own, or that it was
    /// offered. Where every address of the subnet is taken or offered, one is offered to several
    /// clients, and whoever asks for it first gets it; otherwise whoever asks for many offers under
    /// ever new names would keep everybody else from being served.
    ///
    /// Of an offer that we do not remember only the client could tell, and whoever asks under ever
    /// new names for what it was not offered would get every address. After a restart that costs an
    /// honest client one more round.
    pub(crate) fn may_take(&self, address: A) -> bool {
        match self.claim(address) {
            Claim::Theirs => true,
            Claim::Offered => self.is_short(),
            Claim::Free | Claim::Refused => false,
        }
    }

    /// Whether every address of the subnet is taken or offered.
    fn is_short(&self) -> bool {
        self.leases.is_short_within(&self.subnet.addresses(), self.own_in_pool(), self.now)
    }

    /// What it has or had in the subnet.
    pub(crate) fn leases(&self) -> impl Iterator<Item = &'a Lease<A>> {
        let within = self.subnet.addresses();
        self.leases.owned_by(self.client).filter(move |lease| within.contains(&lease.address))
    }

    /// What to tell of a BMC that gets a lease.
    pub(crate) fn sighting(&self, mac: MacAddr, lease: &Lease<A>) -> Sighting<A> {
        let within = self.subnet.addresses();
        let elsewhere = self.leases.bound_elsewhere(self.client, &within, self.now);
        Sighting { mac, address: lease.address, until: lease.until, elsewhere }
    }

    /// Whether only the other instance may give it to who does not have it yet.
    pub(crate) fn is_others(&self, address: A) -> bool {
        self.instances.is_some_and(|it| it.is_others(self.subnet.ranges(), address))
    }

    /// The lease of an address that it gets now.
    pub(crate) fn lease(&self, address: A, state: State, time: SignedDuration) -> Lease<A> {
        // Leases are written down in whole seconds, and must not end before the client thinks.
        let until = self.now.as_second().saturating_add(1).saturating_add(time.as_secs());
        let until = Timestamp::from_second(until).unwrap_or(Timestamp::MAX);
        Lease { address, client: self.client.clone(), state, until, binding: None }
    }

    fn is_available(&self, reserved: A) -> bool {
        let lease = self.leases.get(reserved).filter(|lease| lease.holds(self.now));
        let is_free =
            |lease: &Lease<A>| lease.client == *self.client && !lease.is_quarantined(self.now);
        lease.is_none_or(is_free) && !self.own.contains(&reserved)
    }

    /// The address of ours that a pool may contain; if there is none, one that no pool has.
    fn own_in_pool(&self) -> A {
        let mut own = self.own.iter().copied();
        let in_pool = own.find(|own| self.subnet.is_in_pool(*own));
        in_pool.unwrap_or(*self.subnet.addresses().start())
    }
}
