//! Which addresses a client may have, and what its lease then is.

use super::Request;
use crate::{
    dhcp::{Client, Lease, State},
    dhcp6::ia::Ia,
};
use jiff::{SignedDuration, Timestamp};
use std::{net::Ipv6Addr, ops::RangeInclusive};

/// What a client may do with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It is the client's.
    Theirs,
    /// It is nobody's.
    Free,
    /// It is offered to somebody else, who has not asked for it yet.
    Offered,
    /// It is somebody else's, or none of ours.
    Refused,
}

impl Request<'_> {
    /// The address for a client that asks for one: what is reserved for it, what it has or had,
    /// what it wishes, or any other.
    pub(super) fn choose(&self, client: &Client, ia: &Ia) -> Option<Ipv6Addr> {
        let is_theirs = |address: &Ipv6Addr| self.claim(client, *address) == Claim::Theirs;
        let had = || {
            let mine = self.leases_of(client).filter(|lease| is_theirs(&lease.address));
            mine.max_by_key(|lease| (lease.is_bound(self.now), lease.until, lease.address))
        };
        let wished = || ia.addresses.iter().find(|a| self.claim(client, **a) == Claim::Free);
        let pick = || {
            self.server.leases.pick_within(&self.addresses(), client, self.own_address(), self.now)
        };
        self.reserved()
            .filter(is_theirs)
            .or_else(|| had().map(|lease| lease.address))
            .or_else(|| wished().copied())
            .or_else(pick)
    }

    pub(super) fn claim(&self, client: &Client, address: Ipv6Addr) -> Claim {
        let lease = self.server.leases.get(address);
        let rests = lease.is_some_and(|lease| lease.is_quarantined(self.now));
        let held = lease.filter(|lease| lease.holds(self.now));
        let is_anothers = held.is_some_and(|lease| lease.client != *client);
        let is_offered = held.is_some_and(|lease| lease.state == State::Offered);
        if rests || (is_anothers && !is_offered) || self.is_ours(address) {
            return Claim::Refused;
        }
        match self.reserved() {
            Some(reserved) if reserved == address => return Claim::Theirs,
            // The client is to move to its own address, unless that is not to be had.
            Some(reserved) if self.is_available(client, reserved) => return Claim::Refused,
            Some(_) | None => {}
        }
        if !self.subnet.is_in_pool(address) || (held.is_none() && self.is_others(address)) {
            return Claim::Refused;
        }
        let is_theirs = lease.is_some_and(|lease| lease.client == *client);
        match (is_theirs, is_anothers) {
            (true, _) => Claim::Theirs,
            (false, true) => Claim::Offered,
            (false, false) => Claim::Free,
        }
    }

    /// Whether every address of the subnet is taken or offered: whoever asks first for one that is
    /// offered gets it then. Otherwise whoever sends many SOLICITs with ever new identifiers would
    /// keep everybody else from being served.
    pub(super) fn is_short(&self) -> bool {
        self.server.leases.is_short_within(&self.addresses(), self.own_address(), self.now)
    }

    pub(super) fn leases_of(&self, client: &Client) -> impl Iterator<Item = &Lease<Ipv6Addr>> {
        let mine = self.server.leases.owned_by(client);
        mine.filter(|lease| self.subnet.net.contains(&lease.address))
    }

    /// Whether only the other instance may give it to who does not have it yet.
    pub(super) fn is_others(&self, address: Ipv6Addr) -> bool {
        let instances = self.v6().instances;
        instances.is_some_and(|it| it.is_others(&self.subnet.ranges, address))
    }

    fn reserved(&self) -> Option<Ipv6Addr> {
        self.subnet.reservations.get(&self.mac?).copied()
    }

    fn is_available(&self, client: &Client, reserved: Ipv6Addr) -> bool {
        let lease = self.server.leases.get(reserved).filter(|lease| lease.holds(self.now));
        let is_free =
            |lease: &Lease<Ipv6Addr>| lease.client == *client && !lease.is_quarantined(self.now);
        lease.is_none_or(is_free) && !self.is_ours(reserved)
    }

    fn is_ours(&self, address: Ipv6Addr) -> bool {
        self.arrival.addresses.contains(&address)
    }

    /// The address of ours that a pool may contain; of no use to anybody, if there is none.
    fn own_address(&self) -> Ipv6Addr {
        let mut own = self.arrival.addresses.iter().copied();
        own.find(|own| self.subnet.is_in_pool(*own)).unwrap_or(Ipv6Addr::UNSPECIFIED)
    }

    fn addresses(&self) -> RangeInclusive<Ipv6Addr> {
        self.subnet.net.network()..=self.subnet.net.broadcast()
    }

    pub(super) fn lease(
        &self,
        client: &Client,
        address: Ipv6Addr,
        state: State,
        time: SignedDuration,
    ) -> Lease<Ipv6Addr> {
        // Leases are written down in whole seconds, and must not end before the client thinks.
        let until = self.now.as_second().saturating_add(1).saturating_add(time.as_secs());
        let until = Timestamp::from_second(until).unwrap_or(Timestamp::MAX);
        Lease { address, client: client.clone(), state, until }
    }

    /// The lease as one that is over. An offer leaves nothing to write down.
    pub(super) fn ended(&self, lease: &Lease<Ipv6Addr>) -> Lease<Ipv6Addr> {
        let state = match lease.state {
            State::Offered => State::Offered,
            State::Bound | State::Released | State::Declined => State::Released,
        };
        let until = Timestamp::from_second(self.now.as_second()).unwrap_or(self.now);
        Lease { state, until, ..lease.clone() }
    }
}
