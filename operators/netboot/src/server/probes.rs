//! Offers that wait until it is known that nobody uses their address.

use super::{Batch, Server};
use jiff::Timestamp;
use metal_dhcp::{
    lease::Lease,
    v4::{MessageType, Reply},
};
use metal_serve::dhcp::{
    link::v4::Place,
    prober::{Outcome, Prober},
};
use std::net::{Ipv4Addr, SocketAddrV4};

/// An offer, and where it goes.
#[derive(Debug)]
pub(super) struct PendingOffer {
    /// Not a number: links come and go.
    place: Place,
    from: SocketAddrV4,
    reply: Box<Reply>,
}

impl Server {
    /// Opens the prober, or closes it, as the configuration says.
    pub(super) fn open_prober(&mut self) {
        match (self.config.conflict_probe, &self.prober) {
            (false, _) => self.prober = None,
            (true, Some(_)) => {}
            (true, None) => match Prober::open() {
                Ok(prober) => self.prober = Some(prober),
                Err(error) => {
                    let hint = "CAP_NET_RAW is needed; `conflictProbe: false` does without";
                    tracing::warn!(%error, hint, "addresses are offered without asking who has them");
                }
            },
        }
    }

    /// Keeps an offer until its address is known to be free. Gives back what can go out now.
    pub(super) fn hold(
        &mut self,
        link: usize,
        from: SocketAddrV4,
        reply: Box<Reply>,
        probe: Option<Ipv4Addr>,
    ) -> Option<Box<Reply>> {
        let Some(prober) = self.prober.as_mut().filter(|_| reply.kind == MessageType::Offer) else {
            return Some(reply);
        };
        let address = reply.packet.yiaddr;
        let must_wait = if probe.is_some() { prober.has_room() } else { prober.asks(address) };
        if !must_wait {
            return Some(reply);
        }
        let held = PendingOffer { place: self.links[link].place.clone(), from, reply };
        prober.ask(address, held).err().map(|held| held.reply)
    }

    /// Lets offers go whose address nobody has, and takes out of service what somebody has. Whether
    /// there was anything.
    pub(super) fn finish_probes(&mut self, batch: &mut Batch) -> bool {
        let outcomes = self.prober.as_mut().map(Prober::outcomes).unwrap_or_default();
        let is_busy = !outcomes.is_empty();
        for outcome in outcomes {
            match outcome {
                Outcome::Free(PendingOffer { place, from, reply }) => {
                    if let Some(link) = self.links.iter().position(|link| link.place == place) {
                        batch.reply(link, from, *reply, false, None);
                    }
                }
                Outcome::InUse(address) => self.quarantine(address),
            }
        }
        is_busy
    }

    fn quarantine(&mut self, address: Ipv4Addr) {
        let Some(lease) = self.lease_store.leases.get(address) else { return };
        let lease: Lease = lease.declined(Timestamp::now());
        tracing::warn!(%address, "address is in use by somebody else; not offered for an hour");
        self.metrics.conflicted();
        self.lease_store.record(lease);
    }
}
