//! Offers that are pending until it is known that nobody uses their address.

use super::{Answer, V4};
use jiff::Timestamp;
use metal_dhcp::{Client, lease::Lease, v4::MessageType};
use metal_serve::dhcp::{
    link::v4::{BindTarget, Link},
    prober::{ProbeOutcome, Prober},
};
use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

/// How many addresses are taken out of service in a [`PERIOD`] because somebody answers at them.
const MOST: u32 = 64;
const PERIOD: Duration = Duration::from_mins(1);

/// Counts the addresses that are taken out of service: a host that answers at every address would
/// otherwise take all of them, one for each request.
#[derive(Debug, Default)]
pub(super) struct QuarantineRate(Option<(Instant, u32)>);

impl QuarantineRate {
    fn admits(&mut self, now: Instant) -> bool {
        let current = self.0.filter(|(since, _)| now.saturating_duration_since(*since) < PERIOD);
        let (since, count) = current.unwrap_or((now, 0));
        self.0 = Some((since, count.saturating_add(1)));
        count < MOST
    }
}

/// An offer and its destination.
#[derive(Debug)]
pub(super) struct PendingOffer {
    /// The number of the link in the answer may have changed by then.
    pub(super) bind_target: BindTarget,
    pub(super) answer: Answer,
    /// Whom the address is offered to.
    pub(super) client: Option<Client>,
}

impl V4 {
    /// Opens or closes the prober, according to the configuration.
    pub(super) fn open_prober(&mut self) {
        match (self.common.config.conflict_probe, &self.prober) {
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
        bind_target: &BindTarget,
        answer: Answer,
        client: Option<Client>,
        probe: Option<Ipv4Addr>,
    ) -> Option<Answer> {
        let is_offer = answer.reply.kind == MessageType::Offer;
        let Some(prober) = self.prober.as_mut().filter(|_| is_offer) else { return Some(answer) };
        let address = answer.reply.packet.yiaddr;
        let must_wait =
            if probe.is_some() { prober.has_room() } else { prober.is_probing(address) };
        if !must_wait {
            return Some(answer);
        }
        let held = PendingOffer { bind_target: bind_target.clone(), answer, client };
        prober.probe(address, held).err().map(|held| held.answer)
    }

    /// Releases offers of addresses that are free, and takes addresses out of service that are in
    /// use. `None` if no result has arrived.
    pub(super) fn finish_probes(&mut self, links: &[Link]) -> Option<Vec<Answer>> {
        let outcomes = self.prober.as_mut().map(Prober::outcomes).unwrap_or_default();
        if outcomes.is_empty() {
            return None;
        }
        Some(outcomes.into_iter().filter_map(|outcome| self.finish(links, outcome)).collect())
    }

    /// What is sent after a probe.
    pub(super) fn finish(
        &mut self,
        links: &[Link],
        outcome: ProbeOutcome<PendingOffer>,
    ) -> Option<Answer> {
        let PendingOffer { bind_target, mut answer, .. } = match outcome {
            ProbeOutcome::Free(offer) => offer,
            ProbeOutcome::InUse(address, offer) => self.in_use(address, offer)?,
        };
        answer.link = links.iter().position(|link| link.bind_target == bind_target)?;
        // An offer is a promise of nothing.
        answer.is_durable = false;
        Some(answer)
    }

    /// Somebody answers at an address that was to be offered. Returns the offer if that was its own
    /// client, which has a lease of the address. Whoever else has one by now keeps it.
    fn in_use(&mut self, address: Ipv4Addr, offer: PendingOffer) -> Option<PendingOffer> {
        let lease = self.common.lease_store.leases.get(address)?;
        if lease.is_bound(Timestamp::now()) {
            return Some(offer).filter(|offer| offer.client.as_ref() == Some(&lease.client));
        }
        if self.quarantines.admits(Instant::now()) {
            self.quarantine(address);
        } else {
            // Whoever asks for it next has it probed again.
            self.common.lease_store.leases.withdraw(address);
        }
        None
    }

    fn quarantine(&mut self, address: Ipv4Addr) {
        let Some(lease) = self.common.lease_store.leases.get(address) else { return };
        let lease: Lease = lease.declined(Timestamp::now());
        tracing::warn!(%address, "address is in use by another host; not offered for one hour");
        self.common.parts.metrics.conflicted();
        self.common.lease_store.record(lease);
    }
}

#[cfg(test)]
mod tests;
