//! Offers that are pending until it is known that nobody uses their address.

use super::{Answer, V4};
use jiff::Timestamp;
use metal_dhcp::{lease::Lease, v4::MessageType};
use metal_serve::dhcp::{
    link::v4::{Link, Place},
    prober::{Outcome, Prober},
};
use std::net::Ipv4Addr;

/// An offer and its destination.
#[derive(Debug)]
pub(super) struct PendingOffer {
    /// The number of the link in the answer may have changed by then.
    place: Place,
    answer: Answer,
}

impl V4 {
    /// Opens or closes the prober, according to the configuration.
    pub(super) fn open_prober(&mut self) {
        match (self.config.conflict_probe, &self.prober) {
            (false, _) => self.prober = None,
            (true, Some(_)) => {}
            (true, None) => match Prober::open() {
                Ok(prober) => self.prober = Some(prober),
                Err(error) => {
                    let hint = "grant CAP_NET_RAW, or set conflictProbe: false";
                    tracing::warn!(
                        %error,
                        hint,
                        "conflict probes are not possible; addresses are offered without a probe",
                    );
                }
            },
        }
    }

    /// Keeps an offer until its address is known to be free. Returns what can be sent now.
    pub(super) fn hold(
        &mut self,
        place: &Place,
        answer: Answer,
        probe: Option<Ipv4Addr>,
    ) -> Option<Answer> {
        let is_offer = answer.reply.kind == MessageType::Offer;
        let Some(prober) = self.prober.as_mut().filter(|_| is_offer) else { return Some(answer) };
        let address = answer.reply.packet.yiaddr;
        let must_wait = if probe.is_some() { prober.has_room() } else { prober.asks(address) };
        if !must_wait {
            return Some(answer);
        }
        let held = PendingOffer { place: place.clone(), answer };
        prober.ask(address, held).err().map(|held| held.answer)
    }

    /// Releases offers of addresses that are free, and takes addresses out of service that are in
    /// use. `None` if no result has arrived.
    pub(super) fn finish_probes(&mut self, links: &[Link]) -> Option<Vec<Answer>> {
        let outcomes = self.prober.as_mut().map(Prober::outcomes).unwrap_or_default();
        if outcomes.is_empty() {
            return None;
        }
        let mut answers = Vec::new();
        for outcome in outcomes {
            match outcome {
                Outcome::Free(PendingOffer { place, mut answer }) => {
                    let number = links.iter().position(|link| link.place == place);
                    let Some(number) = number else { continue };
                    answer.link = number;
                    // An offer is a promise of nothing.
                    answer.is_durable = false;
                    answers.push(answer);
                }
                Outcome::InUse(address) => self.quarantine(address),
            }
        }
        Some(answers)
    }

    fn quarantine(&mut self, address: Ipv4Addr) {
        let Some(lease) = self.lease_store.leases.get(address) else { return };
        let lease: Lease = lease.declined(Timestamp::now());
        tracing::warn!(%address, "address is in use by another host; not offered for one hour");
        self.metrics.conflicted();
        self.lease_store.record(lease);
    }
}
