//! Which addresses of its subnet a client may have, the same for IPv4 and IPv6.

use super::{Lease, Leases, State};
use crate::{address::Address, client::Client, sharding::Instances};
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
    /// It is offered to another client, which has not requested it yet.
    Offered,
    /// It belongs to another client, or is not one of ours.
    Refused,
}

/// A subnet, as seen by the lease code.
pub(crate) trait LeaseSubnet<A> {
    /// All of its addresses.
    fn addresses(&self) -> RangeInclusive<A>;
    /// Ranges for any client, including addresses that are set aside.
    fn ranges(&self) -> &[RangeInclusive<A>];
    /// Whether an address is available to any client.
    fn is_in_pool(&self, address: A) -> bool;
}

/// A client in a subnet.
#[derive(Debug)]
pub(crate) struct Claimant<'a, A, S> {
    pub(crate) client: &'a Client,
    /// Its MAC address, if it is known.
    pub(crate) mac: Option<MacAddr>,
    pub(crate) subnet: &'a S,
    pub(crate) leases: &'a Leases<A>,
    pub(crate) instances: Option<Instances>,
    /// The address that is reserved for it.
    pub(crate) reserved: Option<A>,
    /// Our own addresses, which no client gets.
    pub(crate) own: &'a [A],
    pub(crate) now: Timestamp,
}

impl<'a, A: Address, S: LeaseSubnet<A>> Claimant<'a, A, S> {
    /// The address for a client that asks for one: the reserved one, one that it has or had, one
    /// that it requests, or any other. One that it seems to have declined comes last.
    pub(crate) fn choose(&self, mut wished: impl Iterator<Item = A>) -> Option<A> {
        let is_doubted = |address: &A| self.leases.doubted.contains(*address, self.now);
        self.own(|address| !is_doubted(address))
            .or_else(|| wished.find(|address| self.claim(*address) == Claim::Free))
            .or_else(|| self.pick())
            .or_else(|| self.own(is_doubted))
    }

    /// An address for a client without one.
    fn pick(&self) -> Option<A> {
        let within = self.subnet.addresses();
        self.leases.pick_within(&within, self.client, self.is_barred(), self.now)
    }

    /// The address that is reserved for it, or one that it has or had.
    fn own(&self, may_be: impl Fn(&A) -> bool) -> Option<A> {
        let is_own = |address: &A| may_be(address) && self.claim(*address) == Claim::Theirs;
        let had = || {
            let mine = self.leases().filter(|lease| is_own(&lease.address));
            mine.max_by_key(|lease| (lease.is_bound(self.now), lease.until, lease.address))
        };
        self.reserved.filter(&is_own).or_else(|| had().map(|lease| lease.address))
    }

    /// The priority of an address for this client.
    pub(crate) fn claim(&self, address: A) -> Claim {
        let lease = self.leases.get(address);
        let rests = lease.is_some_and(|lease| lease.is_quarantined(self.now));
        let held = lease.filter(|lease| lease.holds(self.now));
        let is_anothers = held.is_some_and(|lease| lease.client != *self.client);
        let is_offered = held.is_some_and(|lease| lease.state == State::Offered);
        if rests || (is_anothers && !is_offered) || self.is_barred()(address) {
            return Claim::Refused;
        }
        match self.reserved {
            Some(reserved) if reserved == address => return Claim::Theirs,
            // The client should move to its reserved address, unless somebody else has that.
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

    /// Whether it gets an address that it requests: one that is recorded as its own, or that it was
    /// offered. If every address of the subnet is taken or offered, one address is offered to
    /// several clients, and the first to request it gets it. Otherwise a client that collects
    /// offers under ever new names would keep all others from being served.
    ///
    /// An offer that we do not remember is honored only while there can be one, because only the client
    /// vouches for it. In a flood, or after a restart, firmware requests an offer that was forgotten; it
    /// may not start over if that is refused. If the address was offered to another client since, again
    /// the first to request it gets it.
    pub(crate) fn may_take(&self, address: A) -> bool {
        match self.claim(address) {
            Claim::Theirs => true,
            Claim::Offered => self.is_short() || self.may_have_been_offered(address),
            Claim::Free => self.may_have_been_offered(address),
            Claim::Refused => false,
        }
    }

    /// Whether an offer of an address to this client may have been forgotten: it is one that is, or may
    /// have been, picked for it. Whoever chooses its name by that can as well wish for the address.
    fn may_have_been_offered(&self, address: A) -> bool {
        let is_picked =
            || self.leases.may_be_picked_for(self.client, address) || self.pick() == Some(address);
        self.leases.has_forgotten_offers(self.now) && is_picked()
    }

    /// Whether every address of the subnet is taken or offered.
    fn is_short(&self) -> bool {
        self.leases.is_short_within(&self.subnet.addresses(), self.is_barred(), self.now)
    }

    /// The leases that it has or had in the subnet.
    pub(crate) fn leases(&self) -> impl Iterator<Item = &'a Lease<A>> {
        let within = self.subnet.addresses();
        self.leases.owned_by(self.client).filter(move |lease| within.contains(&lease.address))
    }

    /// The sighting to report of a BMC that gets a lease.
    pub(crate) fn sighting(&self, mac: MacAddr, lease: &Lease<A>) -> Sighting<A> {
        let within = self.subnet.addresses();
        let elsewhere = self.leases.bound_elsewhere(self.client, &within, self.now);
        let (address, until) = (lease.address, lease.until);
        Sighting { mac, address, until, elsewhere, is_recalled: false }
    }

    /// Whether the address is in the other instance's half and the client does not have it yet, so
    /// that only that instance may assign it.
    pub(crate) fn is_others(&self, address: A) -> bool {
        self.instances.is_some_and(|it| it.is_others(self.subnet.ranges(), address))
    }

    /// The lease for an address that is assigned now.
    pub(crate) fn lease(&self, address: A, state: State, time: SignedDuration) -> Lease<A> {
        // Leases are recorded in whole seconds, and must not end before the client expects it.
        let until = self.now.as_second().saturating_add(1).saturating_add(time.as_secs());
        let until = Timestamp::from_second(until).unwrap_or(Timestamp::MAX);
        Lease { address, client: self.client.clone(), state, until, binding: None }
    }

    fn is_available(&self, reserved: A) -> bool {
        let lease = self.leases.get(reserved).filter(|lease| lease.holds(self.now));
        let is_free =
            |lease: &Lease<A>| lease.client == *self.client && !lease.is_quarantined(self.now);
        let is_doubted = self.leases.doubted.contains(reserved, self.now);
        lease.is_none_or(is_free) && !is_doubted && !self.is_barred()(reserved)
    }

    /// Addresses that it cannot have: our own, and those that are kept for BMCs.
    fn is_barred(&self) -> impl Fn(A) -> bool {
        let (own, leases, mac) = (self.own, self.leases, self.mac);
        move |address| own.contains(&address) || leases.is_kept_from(address, mac)
    }
}
