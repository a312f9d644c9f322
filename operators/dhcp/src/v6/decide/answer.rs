//! One method per message.

use super::{Decision, DropReason, Request};
use crate::{
    client::Client,
    config::v6::Mode,
    lease::{Lease, OFFER_TIME, State, claim::Claim},
    v6::{
        client,
        ia::{Ia, Status, Times},
        reply,
    },
};
use ipnet::Ipv6Net;
use jiff::Timestamp;
use metal_core::endpoint::Sighting;
use metal_wire::v6::{MessageType, code};
use std::net::Ipv6Addr;

impl Request<'_> {
    /// RFC 9915, section 18.3.1.
    pub(super) fn solicit(&self) -> Decision {
        if self.waits() {
            return Decision::dropped(DropReason::BootNotReady);
        }
        let is_rapid =
            self.v6().rapid_commit && self.packet.options.get(code::RAPID_COMMIT).is_some();
        let chosen = self.main_ia().and_then(|ia| {
            let client = self.client(ia);
            let address = self.claimant(&client).choose(ia.addresses.iter().copied());
            let address = address.filter(|_| self.gives_addresses())?;
            Some((ia, client, address))
        });
        let Some((ia, client, address)) = chosen else {
            let reply = self.without(MessageType::Advertise, Status::NoAddrsAvail);
            return Decision { exhausted: self.exhausted(), ..Decision::answer(reply) };
        };
        let claimant = self.claimant(&client);
        let is_free = || claimant.claim(address) == Claim::Free;
        if is_rapid && (is_free() || claimant.may_take(address)) {
            let mut decision = self.bind(ia, &client, address, Status::NoAddrsAvail);
            if let Ok(reply) = &mut decision.answer {
                reply.packet.options.push(code::RAPID_COMMIT, []);
            }
            return decision;
        }
        let old = self.server.leases.get(address);
        let is_bound = old.is_some_and(|old| old.client == client && old.is_bound(self.now));
        let offer = || Lease {
            binding: self.binding(ia),
            ..claimant.lease(address, State::Offered, OFFER_TIME)
        };
        let changes = if is_bound { Vec::new() } else { vec![offer()] };
        let value = ia.granted(address, self.times(), std::iter::empty());
        let reply = reply::associations(
            self,
            MessageType::Advertise,
            Some((ia, &value[..])),
            Status::NoAddrsAvail,
        );
        Decision { changes, ..Decision::answer(reply) }
    }

    /// The subnet of a client without an address, unless there is none for it that could be taken.
    fn exhausted(&self) -> Option<Ipv6Net> {
        let may_have = self.reserved().is_some() || !self.subnet.ranges.is_empty();
        let asks = self.gives_addresses() && self.main_ia().is_some();
        Some(self.subnet.net).filter(|_| asks && may_have)
    }

    /// RFC 9915, section 18.3.2.
    pub(super) fn request(&self) -> Decision {
        let Some(ia) = self.main_ia().filter(|_| self.gives_addresses()) else {
            return Decision::answer(self.without(MessageType::Reply, Status::NoAddrsAvail));
        };
        if ia.addresses.iter().any(|address| !self.subnet.net.contains(address)) {
            return Decision::answer(self.without(MessageType::Reply, Status::NotOnLink));
        }
        let client = self.client(ia);
        let claimant = self.claimant(&client);
        let requested = ia.addresses.iter().copied().find(|address| claimant.may_take(*address));
        let is_own = |address: &Ipv6Addr| claimant.claim(*address) == Claim::Theirs;
        let own = || claimant.choose(std::iter::empty()).filter(is_own);
        match requested.or_else(own) {
            Some(address) => self.bind(ia, &client, address, Status::NoAddrsAvail),
            None => Decision::answer(self.without(MessageType::Reply, Status::NoAddrsAvail)),
        }
    }

    /// Renew, which is `to_us`, and Rebind, to any server (RFC 9915, sections 18.3.4 and 18.3.5).
    ///
    /// What is recorded counts, never what the client says. A client that is not recorded is told
    /// so, and starts over.
    pub(super) fn extend(&self, to_us: bool) -> Decision {
        let Some(ia) = self.bound_ia() else {
            // Another server may have delegated the prefixes.
            return if to_us {
                Decision::answer(self.without(MessageType::Reply, Status::NoBinding))
            } else {
                Decision::dropped(DropReason::UnknownClient)
            };
        };
        let client = self.client(ia);
        let claimant = self.claimant(&client);
        let is_known = claimant.leases().any(|lease| lease.holds(self.now));
        let authoritative = self.server.config.authoritative;
        let mut addresses = ia.addresses.iter().copied();
        let theirs = addresses.find(|address| {
            claimant.claim(*address) == Claim::Theirs && self.is_bound_to(ia, *address)
        });
        match theirs.filter(|_| self.gives_addresses()) {
            Some(address) => self.bind(ia, &client, address, Status::NoBinding),
            // The other instance may have assigned it, without our knowing yet.
            None if !to_us && ia.addresses.iter().any(|it| claimant.is_others(*it)) => {
                Decision::dropped(DropReason::UnknownClient)
            }
            None if !to_us && !authoritative && !is_known => {
                Decision::dropped(DropReason::UnknownClient)
            }
            // The client has moved to another link.
            None if ia.addresses.iter().any(|address| !self.subnet.net.contains(address)) => {
                let withdrawn = ia.withdrawn();
                let first = Some((ia, &withdrawn[..]));
                Decision::answer(reply::associations(
                    self,
                    MessageType::Reply,
                    first,
                    Status::NoBinding,
                ))
            }
            // Another server may assign addresses here.
            None if !to_us && !self.gives_addresses() => {
                Decision::dropped(DropReason::UnknownClient)
            }
            None => Decision::answer(self.without(MessageType::Reply, Status::NoBinding)),
        }
    }

    /// RFC 9915, section 18.3.3.
    pub(super) fn confirm(&self) -> Decision {
        let mut addresses = self.ias.iter().flat_map(|ia| &ia.addresses).peekable();
        if addresses.peek().is_none() {
            return Decision::dropped(DropReason::NoAddress);
        }
        let is_on_link = addresses.all(|address| self.subnet.net.contains(address));
        let status = if is_on_link { Status::Success } else { Status::NotOnLink };
        Decision::answer(reply::status(self, status))
    }

    /// RFC 9915, section 18.3.7.
    pub(super) fn release(&self) -> Decision {
        self.give_back(|lease| lease.ended(self.now))
    }

    /// RFC 9915, section 18.3.8.
    pub(super) fn decline(&self) -> Decision {
        let decision = self.give_back(|lease| lease.declined(self.now));
        let doubted = if self.is_believed { Vec::new() } else { self.bound() };
        Decision { doubted, ..decision }
    }

    /// The addresses in the message that its associations have.
    fn bound(&self) -> Vec<Ipv6Addr> {
        let of = |ia: &Ia| {
            let client = self.client(ia);
            self.theirs(ia, &client).map(|lease| lease.address).collect::<Vec<_>>()
        };
        self.ias.iter().flat_map(of).collect()
    }

    /// The leases of addresses in an association that it has.
    fn theirs<'b>(
        &'b self,
        ia: &'b Ia,
        client: &'b Client,
    ) -> impl Iterator<Item = &'b Lease<Ipv6Addr>> {
        let leases = ia.addresses.iter().filter_map(|address| self.server.leases.get(*address));
        leases.filter(move |lease| {
            lease.client == *client
                && lease.is_bound(self.now)
                && self.is_bound_to(ia, lease.address)
        })
    }

    /// RFC 9915, section 18.3.6. A BMC counts as there until it has had two occasions to ask again.
    pub(super) fn information(&self) -> Decision {
        let bmc = self.mac.filter(|_| self.is_bmc).zip(self.made_by_client());
        let until =
            self.now.saturating_add(reply::refresh_time(self) * 2).unwrap_or(Timestamp::MAX);
        let seen =
            |(mac, address)| Sighting { mac, address, until, elsewhere: None, is_recalled: false };
        let bmc = bmc.map(seen);
        Decision { bmc, ..Decision::answer(reply::information(self)) }
    }

    /// The address that a client on a stateless link makes itself. It can be derived if it is made
    /// from the MAC address, as with BMCs.
    fn made_by_client(&self) -> Option<Ipv6Addr> {
        let is_made = self.subnet.mode == Mode::Stateless && self.subnet.net.prefix_len() == 64;
        let id = client::interface_id(self.packet, *self.from().ip()).filter(|_| is_made)?;
        Some(Ipv6Addr::from_bits(self.subnet.net.network().to_bits() | u128::from(id)))
    }

    /// The association that gets an address: the one that already has one, else the first one.
    fn main_ia(&self) -> Option<&Ia> {
        self.ias.iter().find(|ia| !ia.addresses.is_empty()).or_else(|| self.ias.first())
    }

    /// The association that already has an address.
    fn bound_ia(&self) -> Option<&Ia> {
        let has = |ia: &&Ia| {
            let client = self.client(ia);
            let lease = |address: &Ipv6Addr| self.server.leases.get(*address);
            ia.addresses.iter().any(|address| {
                lease(address).is_some_and(|lease| lease.client == client)
                    && self.is_bound_to(ia, *address)
            })
        };
        self.ias.iter().find(has).or_else(|| self.main_ia())
    }

    fn gives_addresses(&self) -> bool {
        self.subnet.mode == Mode::Stateful
    }

    /// Gives an address to one association; the others get the status `rest`.
    fn bind(&self, ia: &Ia, client: &Client, address: Ipv6Addr, rest: Status) -> Decision {
        let mut changes = self.drop_others(ia, client, address);
        let claimant = self.claimant(client);
        let lease = claimant.lease(address, State::Bound, self.subnet.lease_time);
        let bmc = self.mac.filter(|_| self.is_bmc).map(|mac| claimant.sighting(mac, &lease));
        changes.push(Lease { binding: self.binding(ia), ..lease });
        let others = ia.addresses.iter().copied().filter(|other| *other != address);
        let value = ia.granted(address, self.times(), others);
        let first = Some((ia, &value[..]));
        let reply = reply::associations(self, MessageType::Reply, first, rest);
        Decision { changes, bmc, ..Decision::answer(reply) }
    }

    fn times(&self) -> Times {
        Times::of(self.subnet.lease_time)
    }

    /// A client has one address per subnet, so its other leases there end now. It may use the
    /// addresses in this message until it gets the answer, so those leases run out in time.
    fn drop_others(&self, ia: &Ia, client: &Client, kept: Ipv6Addr) -> Vec<Lease<Ipv6Addr>> {
        let mine = self.claimant(client);
        let others = mine.leases().filter(|lease| lease.address != kept && lease.holds(self.now));
        let others = others.filter(|lease| match lease.state {
            State::Bound => !ia.addresses.contains(&lease.address),
            State::Offered | State::Released => true,
            State::Declined => false,
        });
        others.map(|lease| lease.ended(self.now)).collect()
    }

    fn without(&self, kind: MessageType, status: Status) -> reply::Reply {
        reply::associations(self, kind, None, status)
    }

    /// Ends the leases of addresses that belong to the client. Associations without any are told
    /// so.
    fn give_back(&self, change: impl Fn(&Lease<Ipv6Addr>) -> Lease<Ipv6Addr>) -> Decision {
        // Anybody can send a packet with another client's address to end its lease, and most relays
        // send from an address outside of the link. So an untrusted client gets the answer that it
        // waits for, but its lease runs out in time. What it declines is doubted.
        if !self.is_believed {
            return Decision::answer(reply::status(self, Status::Success));
        }
        let (mut changes, mut unbound): (Vec<Lease<Ipv6Addr>>, Vec<[u8; 4]>) = Default::default();
        for ia in &self.ias {
            let client = self.client(ia);
            let before = changes.len();
            for lease in self.theirs(ia, &client).map(&change) {
                if changes.iter().all(|other| other.address != lease.address) {
                    changes.push(lease);
                }
            }
            if changes.len() == before {
                unbound.push(ia.id);
            }
        }
        Decision { changes, ..Decision::answer(reply::given_back(self, &unbound)) }
    }
}
