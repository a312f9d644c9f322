//! Which addresses a client may have, and what its lease then is.

use super::Request;
use crate::dhcp::{Lease, State, option::code};
use jiff::{SignedDuration, Timestamp};
use std::net::Ipv4Addr;

/// No client gets less, whatever it asks for.
const MIN_LEASE_TIME: SignedDuration = SignedDuration::from_secs(60);

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
    pub(super) fn choose(&self) -> Option<Ipv4Addr> {
        let is_theirs = |address: &Ipv4Addr| self.claim(*address) == Claim::Theirs;
        let reserved = self.subnet.reservation(&self.client).map(|reserved| reserved.ip);
        let had = || {
            let mine = self.server.leases.of(&self.client, self.subnet);
            let mine = mine.filter(|lease| is_theirs(&lease.address));
            mine.max_by_key(|lease| (lease.is_bound(self.now), lease.until, lease.address))
        };
        let wished = || self.packet.options.address(code::REQUESTED_ADDRESS);
        reserved
            .filter(is_theirs)
            .or_else(|| had().map(|lease| lease.address))
            .or_else(|| wished().filter(|address| self.claim(*address) == Claim::Free))
            .or_else(|| {
                self.server.leases.pick(self.subnet, &self.client, self.own_address(), self.now)
            })
    }

    pub(super) fn claim(&self, address: Ipv4Addr) -> Claim {
        let lease = self.server.leases.get(address);
        let rests = lease.is_some_and(|lease| lease.is_quarantined(self.now));
        let held = lease.filter(|lease| lease.holds(self.now));
        let is_anothers = held.is_some_and(|lease| lease.client != self.client);
        let is_offered = held.is_some_and(|lease| lease.state == State::Offered);
        if rests || (is_anothers && !is_offered) || address == self.own_address() {
            return Claim::Refused;
        }
        match self.subnet.reservation(&self.client) {
            Some(reserved) if reserved.ip == address => return Claim::Theirs,
            // The client is to move to its own address, unless that is not to be had.
            Some(reserved) if self.is_available(reserved.ip) => return Claim::Refused,
            Some(_) | None => {}
        }
        if !self.subnet.is_in_pool(address) || (held.is_none() && self.is_others(address)) {
            return Claim::Refused;
        }
        let is_theirs = lease.is_some_and(|lease| lease.client == self.client);
        match (is_theirs, is_anothers) {
            (true, _) => Claim::Theirs,
            (false, true) => Claim::Offered,
            (false, false) => Claim::Free,
        }
    }

    /// Whether every address of the subnet is taken or offered, so that one is offered to several
    /// clients: whoever asks for it first gets it. Otherwise whoever sends many DISCOVERs with ever
    /// new MAC addresses would keep everybody else from being served.
    pub(super) fn is_short(&self) -> bool {
        self.server.leases.is_short(self.subnet, self.own_address(), self.now)
    }

    /// Whether only the other instance may give it to who does not have it yet.
    pub(super) fn is_others(&self, address: Ipv4Addr) -> bool {
        let instances = self.config().instances;
        instances.is_some_and(|it| it.is_others(&self.subnet.ranges, address))
    }

    fn is_available(&self, reserved: Ipv4Addr) -> bool {
        let lease = self.server.leases.get(reserved).filter(|lease| lease.holds(self.now));
        let is_free =
            |lease: &Lease| lease.client == self.client && !lease.is_quarantined(self.now);
        lease.is_none_or(is_free) && reserved != self.own_address()
    }

    pub(super) fn lease_time(&self) -> SignedDuration {
        let wished = self.packet.options.u32(code::LEASE_TIME).map(i64::from);
        let wished = wished.map_or(self.subnet.lease_time, SignedDuration::from_secs);
        wished.max(MIN_LEASE_TIME).min(self.subnet.lease_time)
    }

    pub(super) fn lease(&self, address: Ipv4Addr, state: State, time: SignedDuration) -> Lease {
        // Leases are written down in whole seconds, and must not end before the client thinks.
        let until = self.now.as_second().saturating_add(1).saturating_add(time.as_secs());
        let until = Timestamp::from_second(until).unwrap_or(Timestamp::MAX);
        Lease { address, client: self.client.clone(), state, until }
    }

    /// The lease as one that is over. An offer leaves nothing to write down.
    pub(super) fn ended(&self, lease: &Lease) -> Lease {
        let state = match lease.state {
            State::Offered => State::Offered,
            State::Bound | State::Released | State::Declined => State::Released,
        };
        let until = Timestamp::from_second(self.now.as_second()).unwrap_or(self.now);
        Lease { state, until, ..lease.clone() }
    }
}
