//! What `/metrics` tells of DHCPv6.

use metal_dhcp::{lease::Count, v6::MessageType};
use metal_runtime::metrics::Registry;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};

/// The metrics of the packet path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    requests: Family<Kind, Counter>,
    answers: Family<Kind, Counter>,
    silences: Family<Reason, Counter>,
    unserved: Family<Kind, Counter>,
    leases: Family<State, Gauge>,
    log_failures: Counter,
    send_failures: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

impl Metrics {
    /// Metrics that `registry` tells.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("dhcp6_requests", "Packets by type", metrics.requests.clone());
        registry.register("dhcp6_answers", "Answers by type", metrics.answers.clone());
        let help = "Packets that were not answered, by reason";
        registry.register("dhcp6_silences", help, metrics.silences.clone());
        let help = "Packets of firmware that there is no boot file for, by architecture";
        registry.register("dhcp6_boot_unserved", help, metrics.unserved.clone());
        registry.register("dhcp6_leases", "Addresses by state", metrics.leases.clone());
        let help = "Writes of the lease file that failed; their clients were not answered";
        registry.register("dhcp6_lease_file_failures", help, metrics.log_failures.clone());
        let help = "Answers that could not be sent";
        registry.register("dhcp6_send_failures", help, metrics.send_failures.clone());
        metrics
    }

    pub(super) fn requested(&self, kind: Option<MessageType>) {
        let r#type = kind.map_or("Unknown", Into::into);
        self.requests.get_or_create(&Kind { r#type }).inc();
    }

    pub(super) fn answered(&self, kind: MessageType) {
        self.answers.get_or_create(&Kind { r#type: kind.into() }).inc();
    }

    pub(super) fn unserved(&self, r#type: &'static str) {
        self.unserved.get_or_create(&Kind { r#type }).inc();
    }

    pub(super) fn silent(&self, reason: &'static str) {
        self.silences.get_or_create(&Reason { reason }).inc();
    }

    pub(super) fn not_logged(&self) {
        self.log_failures.inc();
    }

    pub(super) fn not_sent(&self) {
        self.send_failures.inc();
    }

    pub(super) fn count(&self, count: &Count) {
        let Count { offered, bound, declined, past, .. } = *count;
        for (state, value) in
            [("offered", offered), ("bound", bound), ("declined", declined), ("past", past)]
        {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            self.leases.get_or_create(&State { state }).set(value);
        }
    }
}
