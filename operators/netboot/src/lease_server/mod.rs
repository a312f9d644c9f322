//! What the DHCP servers of both IP versions have and do alike, whatever their packets look like.

mod exhausted;
#[cfg(test)]
mod tests;

use crate::{
    ServerParts, lease_store::LeaseStore, recorder::RecordedBmcs, shared_leases::LeaseAddress,
};
use exhausted::ExhaustedSubnets;
use jiff::Timestamp;
use metal_api::MacAddr;
use metal_core::{
    boot::decision::{Boot, Identity},
    endpoint::Sighting,
    macdb::MacDb,
};
use metal_dhcp::{
    Client,
    config::Config,
    fair_queue::Priority,
    lease::{Lease, Leases, State},
};
use metal_runtime::report::Chain;
use metal_serve::dhcp::{LogOnce, UnknownRelays, UnservedArchitectures};
use std::{collections::HashMap, error::Error, fmt::Display, sync::Arc, time::Instant};

/// Interval in seconds at which leases are counted, and the addresses of recorded BMCs are looked up.
const COUNT_EVERY: u32 = 10;
/// Interval in seconds at which a configuration that could not be served is tried again.
const RETRY_EVERY: u32 = 10;
/// Interval in seconds at which BMCs that are not recorded are reported again. Nothing else notices that an
/// Endpoint was removed, and leases last for up to a year.
const RECALL_EVERY: u32 = 600;

/// A DHCP server without its packets and sockets.
#[derive(Debug)]
pub(crate) struct LeaseServer<A> {
    pub(crate) parts: ServerParts,
    pub(crate) config: Arc<Config>,
    pub(crate) bmcs: Arc<MacDb>,
    pub(crate) lease_store: LeaseStore<A>,
    pub(crate) unserved: UnservedArchitectures,
    pub(crate) unknown_relays: UnknownRelays,
    /// Addresses that are reserved for one client and recorded for another, as they were logged.
    contradictions: LogOnce<(A, MacAddr, MacAddr)>,
    exhausted: ExhaustedSubnets,
    /// Addresses that clients have declined, with the end of the pause, which were logged.
    declined: LogOnce<(A, Timestamp)>,
    /// Why the latest configuration could not be served.
    refused: Option<String>,
    /// Seconds since the start.
    age: u32,
    /// Whether the addresses of all recorded BMCs are kept as the current configuration requires.
    has_kept: bool,
}

impl<A: LeaseAddress> LeaseServer<A> {
    /// A server with the current configuration, and neither leases nor pools.
    pub(crate) fn new(mut parts: ServerParts) -> Self {
        let config = Arc::clone(&parts.config.borrow_and_update());
        let bmcs = Arc::clone(&parts.bmcs.borrow_and_update());
        let mut lease_store = LeaseStore::new(Leases::default(), parts.published.take());
        lease_store.leases.may_have_offered(Timestamp::now());
        Self {
            parts,
            config,
            bmcs,
            lease_store,
            unserved: UnservedArchitectures::default(),
            unknown_relays: UnknownRelays::default(),
            contradictions: LogOnce::default(),
            exhausted: ExhaustedSubnets::default(),
            declined: LogOnce::default(),
            refused: None,
            age: 0,
            has_kept: false,
        }
    }

    /// Whether packets are answered now; if not, the other instance answers them.
    pub(crate) fn answers(&mut self) -> bool {
        self.lease_store.follow_clock();
        if self.lease_store.takes_over() {
            self.recall_bmcs();
        }
        self.lease_store.answers()
    }

    /// How well a client is known.
    pub(crate) fn priority_of(&self, client: &Client) -> Priority {
        let own = self.lease_store.leases.priority_of(client);
        let machines = self.parts.machines.as_ref();
        let is_server = || machines.is_some_and(|machines| machines.knows(client));
        let is_expected = || A::is_reserved_for(client, &self.config) || is_server();
        if own < Priority::Known && is_expected() { Priority::Known } else { own }
    }

    /// What the sender of a packet boots, if it wants to boot.
    pub(crate) fn boot_of(&self, identity: Option<Identity>) -> Boot {
        let machines = self.parts.machines.as_ref();
        let Some((machines, identity)) = machines.zip(identity) else { return Boot::Default };
        let boot = machines.boot_of(identity);
        self.parts.metrics.decided(&boot);
        boot
    }

    /// Adopts leases, and records durable ones with the next commit; returns whether there is any.
    pub(crate) fn record(&mut self, leases: Vec<Lease<A>>) -> bool {
        let mut is_durable = false;
        for lease in leases {
            if lease.state == State::Declined {
                self.parts.metrics.conflicted();
                self.tell_declined(&lease);
            }
            is_durable |= self.lease_store.record(lease);
        }
        is_durable
    }

    /// A client has found its address in use.
    fn tell_declined(&mut self, lease: &Lease<A>) {
        if self.declined.is_due((lease.address, lease.until)) {
            tracing::warn!(
                address = %lease.address, client = %lease.client,
                "a client found its address in use by another host; not offered for one hour"
            );
        }
    }

    /// Whether what was to be recorded is now recorded.
    pub(crate) fn commit(&mut self) -> bool {
        let is_kept = self.lease_store.commit();
        if !is_kept {
            self.parts.metrics.not_logged();
        }
        is_kept
    }

    /// A client gets no address, because none is left in its subnet.
    pub(crate) fn tell_exhausted(&mut self, subnet: &impl Display) {
        let subnet = subnet.to_string();
        if self.exhausted.is_due(&subnet, Instant::now()) {
            let hint =
                "add to its ranges, or find out in `kubectl get dhcpleases` who has the addresses";
            tracing::warn!(subnet, hint, "no address is left in a subnet");
        }
    }

    /// A BMC has an address.
    pub(crate) fn tell(&self, bmc: Sighting<A>) {
        self.parts.sightings.iter().for_each(|sightings| sightings.saw(bmc));
    }

    /// Tells all BMCs with an address again.
    pub(crate) fn recall_bmcs(&self) {
        self.recall(|_| true);
    }

    /// Tells those again that are not recorded. Of the others, what is recorded may be newer than the lease:
    /// a person has moved a BMC.
    fn recall_unrecorded(&self) {
        let recorded = self.parts.recorded.as_ref();
        if let Some(recorded) = recorded.filter(|recorded| recorded.are_listed()) {
            self.recall(|mac| !recorded.have(mac));
        }
    }

    fn recall(&self, is_told: impl Fn(MacAddr) -> bool) {
        let is_told = |mac, address: A| address.has_bmcs(&self.config) && is_told(mac);
        self.lease_store.recall_bmcs(&self.bmcs, is_told, self.parts.sightings.as_ref());
    }

    /// The configuration to serve, if it has changed, or could not be served before.
    pub(crate) fn new_config(&mut self) -> Option<Arc<Config>> {
        // An error means that nothing watches the file any longer, because the process is ending.
        let has_changed = self.parts.config.has_changed().unwrap_or_default();
        if has_changed {
            self.refused = None;
        }
        let is_retried = self.refused.is_some() && self.is_time(RETRY_EVERY);
        (has_changed || is_retried).then(|| Arc::clone(&self.parts.config.borrow_and_update()))
    }

    /// A configuration is served from now on.
    pub(crate) fn adopt(&mut self, config: Arc<Config>) {
        (self.config, self.refused, self.has_kept) = (config, None, false);
        self.recall_unrecorded();
    }

    /// A configuration cannot be served.
    pub(crate) fn refuse(&mut self, error: &dyn Error) {
        let error = Chain(error).to_string();
        if self.refused.as_ref() != Some(&error) {
            tracing::error!(
                error,
                "the new configuration cannot be served, and is tried again; the previous one stays \
                 in effect"
            );
            self.refused = Some(error);
        }
    }

    /// Periodic work, every second.
    pub(crate) async fn maintain(&mut self) {
        let has_changed = self.parts.bmcs.has_changed().unwrap_or_default();
        if has_changed {
            self.bmcs = Arc::clone(&self.parts.bmcs.borrow_and_update());
        }
        if !self.lease_store.hear() || !self.lease_store.maintain().await {
            self.parts.metrics.not_logged();
        }
        self.age = self.age.wrapping_add(1);
        if has_changed {
            self.recall_bmcs();
        }
        if self.is_time(RECALL_EVERY) {
            self.recall_unrecorded();
        }
        let are_listed = self.parts.recorded.as_ref().is_none_or(RecordedBmcs::are_listed);
        if self.is_time(COUNT_EVERY) || (are_listed && !self.has_kept) {
            self.count();
            self.has_kept = are_listed;
        }
    }

    fn is_time(&self, every: u32) -> bool {
        self.age.is_multiple_of(every)
    }

    /// Counts the leases, and looks up the addresses that are kept for BMCs.
    pub(crate) fn count(&mut self) {
        if let Some(recorded) = &self.parts.recorded {
            let config = &self.config;
            let kept = recorded
                .addresses(|address| A::of(address).filter(|address| address.has_bmcs(config)));
            self.tell_contradictions(&kept);
            self.lease_store.leases.keep_for(kept);
        }
        self.parts.metrics.count(&self.lease_store.leases.count(Timestamp::now()));
    }

    /// Logs each address that is reserved for one client, and recorded for another one, which gets it.
    fn tell_contradictions(&mut self, kept: &HashMap<A, MacAddr>) {
        for (&address, &recorded) in kept {
            let reserved = address.reserved_for(&self.config).filter(|it| *it != recorded);
            let Some(reserved) = reserved else { continue };
            if self.contradictions.is_due((address, reserved, recorded)) {
                let hint = "if the BMC was replaced, delete the Endpoint or BMC of the old one; \
                            otherwise correct the reservation";
                tracing::warn!(
                    %address, %reserved, %recorded, hint,
                    "an address is reserved for one client, but recorded for another, which gets it"
                );
            }
        }
    }
}
