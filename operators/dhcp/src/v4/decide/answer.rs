//! One method per message.

use super::{Decision, DropReason, Request};
use crate::{
    client::Client,
    lease::{DECLINE_TIME, Lease, OFFER_TIME, State, claim::Claim},
    v4::reply,
};
use metal_wire::v4::{MessageType, code};
use std::net::Ipv4Addr;

impl Request<'_> {
    pub(super) fn discover(&self) -> Decision {
        if self.waits() {
            return Decision::dropped(DropReason::BootNotReady);
        }
        let claimant = self.claimant();
        let wished = self.packet.options.address(code::REQUESTED_ADDRESS);
        let Some(address) = claimant.choose(wished.into_iter()) else {
            return self.without_address();
        };
        let old = self.server.leases.get(address);
        let is_bound = old.is_some_and(|old| old.client == self.client && old.is_bound(self.now));
        let offer = || claimant.lease(address, State::Offered, OFFER_TIME);
        let changes = if is_bound { Vec::new() } else { vec![offer()] };
        // What the other instance wrote about its half may be older than its last assignment.
        let is_new = old.is_none_or(|old| old.client != self.client) || claimant.is_others(address);
        let reply = reply::grant(self, MessageType::Offer, address, self.lease_time());
        let probe = is_new.then_some(address);
        Decision { changes, answer: Ok(Box::new(reply)), probe, ..Decision::default() }
    }

    /// There is no address for the client: none that is reserved for it, where all are, or none that is left.
    fn without_address(&self) -> Decision {
        if self.subnet.ranges.is_empty() && self.subnet.reservation(&self.client).is_none() {
            return Decision::dropped(DropReason::NotReserved);
        }
        let exhausted = Some(self.subnet.net);
        Decision { exhausted, ..Decision::dropped(DropReason::NoFreeAddress) }
    }

    /// RFC 2131, section 4.3.2: the fields that a client fills in show which of the four states it
    /// is in. RENEWING and REBINDING differ only in how the packet traveled.
    pub(super) fn request(&self) -> Decision {
        let chosen = self.packet.options.address(code::SERVER_ID);
        let wanted = self.packet.options.address(code::REQUESTED_ADDRESS);
        let current = Some(self.packet.ciaddr).filter(|address| !address.is_unspecified());
        match (chosen, current.or(wanted)) {
            (Some(chosen), _) if chosen != self.server_id => self.withdraw(),
            (_, None) => Decision::dropped(DropReason::NoAddress),
            (Some(_), Some(address)) if self.claimant().may_take(address) => self.bind(address),
            (Some(_), Some(_)) => self.refuse(),
            (None, Some(address)) => self.confirm(address, current.is_some()),
        }
    }

    /// The client believes that it has the address: in INIT-REBOOT or, if it `uses` it, in RENEWING
    /// or REBINDING.
    ///
    /// What is recorded counts, never what the client says. If the client is not recorded, an
    /// authoritative server knows that it has no lease, and tells a client that uses an address to
    /// stop. A client that only remembers one gets no answer (RFC 2131, section 4.3.2), unless the
    /// address is wrong on this link.
    fn confirm(&self, address: Ipv4Addr, uses: bool) -> Decision {
        let claimant = self.claimant();
        let is_known = claimant.leases().any(|lease| lease.holds(self.now));
        let is_only = self.server.config.authoritative;
        match claimant.claim(address) {
            Claim::Theirs => self.bind(address),
            // The other instance may have assigned it, without our knowing yet.
            Claim::Free | Claim::Offered | Claim::Refused if claimant.is_others(address) => {
                Decision::dropped(DropReason::UnknownClient)
            }
            Claim::Free if is_known || (is_only && uses) => self.refuse(),
            Claim::Offered | Claim::Refused if is_known || is_only => self.refuse(),
            Claim::Free | Claim::Offered | Claim::Refused => {
                Decision::dropped(DropReason::UnknownClient)
            }
        }
    }

    fn bind(&self, address: Ipv4Addr) -> Decision {
        let time = self.lease_time();
        let mut changes = self.drop_others(address);
        let claimant = self.claimant();
        let lease = claimant.lease(address, State::Bound, time);
        let bmc = self.client.mac().filter(|_| self.is_bmc);
        let bmc = bmc.map(|mac| claimant.sighting(mac, &lease));
        changes.push(lease);
        let reply = reply::grant(self, MessageType::Ack, address, time);
        Decision { changes, answer: Ok(Box::new(reply)), bmc, ..Decision::default() }
    }

    /// A client has one address per subnet, so its other leases there end now.
    fn drop_others(&self, kept: Ipv4Addr) -> Vec<Lease> {
        let mine = self.claimant();
        let others = mine.leases().filter(|lease| lease.address != kept && lease.holds(self.now));
        let others = others.filter(|lease| lease.state != State::Declined);
        others.map(|lease| lease.ended(self.now)).collect()
    }

    fn refuse(&self) -> Decision {
        let reply = reply::refuse(self);
        Decision { answer: Ok(Box::new(reply)), ..Decision::default() }
    }

    /// The client accepted another server's offer, so ours is withdrawn.
    fn withdraw(&self) -> Decision {
        let mine = self.claimant();
        let offered = mine.leases().filter(|l| l.state == State::Offered && l.holds(self.now));
        let changes = offered.map(|lease| lease.ended(self.now)).collect();
        Decision { changes, ..Decision::dropped(DropReason::OtherServer) }
    }

    pub(super) fn decline(&self) -> Decision {
        let address = self.packet.options.address(code::REQUESTED_ADDRESS);
        let decision = self.give_back(address, |lease| {
            let rests = self.claimant().lease(lease.address, State::Declined, DECLINE_TIME);
            (rests, DropReason::Declined)
        });
        let is_refused = decision.answer == Err(DropReason::NotTheirs);
        let doubted = address.filter(|address| is_refused && self.may_speak_for(*address));
        Decision { doubted, ..decision }
    }

    pub(super) fn release(&self) -> Decision {
        self.give_back(Some(self.packet.ciaddr), |lease| {
            (lease.ended(self.now), DropReason::Released)
        })
    }

    fn give_back(
        &self,
        address: Option<Ipv4Addr>,
        change: impl FnOnce(&Lease) -> (Lease, DropReason),
    ) -> Decision {
        let Some(address) = address else { return Decision::dropped(DropReason::NoAddress) };
        let chosen = self.packet.options.address(code::SERVER_ID);
        if chosen.is_some_and(|chosen| chosen != self.server_id) {
            return Decision::dropped(DropReason::OtherServer);
        }
        let lease = self.server.leases.get(address).filter(|lease| lease.is_bound(self.now));
        let is_theirs = |lease: &&Lease| lease.client == self.client;
        let Some(lease) = lease.filter(is_theirs).filter(|_| self.speaks_for(address)) else {
            return Decision::dropped(DropReason::NotTheirs);
        };
        let (lease, silence) = change(lease);
        Decision { changes: vec![lease], ..Decision::dropped(silence) }
    }

    /// Whether a packet that releases an address can come from that client. Clients send from the
    /// address or from none (RFC 2131, table 5), and an identifier that is made from a hardware
    /// address must be made from theirs. A relayed packet is trusted if the relay acts for the
    /// subnet. Who has no address is on the link of its subnet, or behind a relay of that.
    fn speaks_for(&self, address: Ipv4Addr) -> bool {
        let is_from = if self.has_no_address() {
            self.is_believed && self.subnet.net.contains(&address)
        } else {
            *self.arrival.from.ip() == address
        };
        is_from && self.is_their_identifier()
    }

    /// Whether a packet can come from the client of an address, but also from anybody: a relay has
    /// forwarded it that is not believed.
    fn may_speak_for(&self, address: Ipv4Addr) -> bool {
        let lease = self.server.leases.get(address).filter(|lease| lease.is_bound(self.now));
        lease.is_some_and(|lease| lease.client == self.client)
            && self.has_no_address()
            && !self.is_believed
            && self.is_their_identifier()
    }

    /// Whether the client has sent the packet from no address of its own.
    fn has_no_address(&self) -> bool {
        !self.packet.giaddr.is_unspecified() || self.arrival.from.ip().is_unspecified()
    }

    /// Whether an identifier that is made from a hardware address is made from the client's.
    fn is_their_identifier(&self) -> bool {
        const ETHERNET: u8 = 1;
        match (self.packet.options.get(code::CLIENT_ID), &self.client) {
            (Some([ETHERNET, mac @ ..]), Client::Mac(own)) if mac.len() == own.0.len() => {
                *mac == own.0
            }
            (Some(_) | None, Client::Mac(_) | Client::Id(_)) => true,
        }
    }

    pub(super) fn inform(&self) -> Decision {
        if self.speaks_from().is_none() {
            return Decision::dropped(DropReason::NoAddress);
        }
        let reply = reply::inform(self);
        Decision { answer: Ok(Box::new(reply)), ..Decision::default() }
    }
}
