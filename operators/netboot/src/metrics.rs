//! What `/metrics` tells. Labels are words of the code, never names of clients.

use metal_core::boot::decision::Boot;
use metal_dhcp::{
    lease::Count,
    v4::{Malformed, MessageType, Silence},
};
use metal_runtime::{file::Reading, metrics::Registry};
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
    boots: Family<Reason, Counter>,
    unserved: Family<Kind, Counter>,
    conflicts: Counter,
    leases: Family<State, Gauge>,
    pool: Gauge,
    without_subnet: Gauge,
    log_failures: Counter,
    send_failures: Counter,
    readings: Family<File, Counter>,
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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct File {
    file: &'static str,
    result: &'static str,
}

impl Metrics {
    /// Metrics that `registry` tells.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("dhcp_requests", "Packets by type", metrics.requests.clone());
        registry.register("dhcp_answers", "Answers by type", metrics.answers.clone());
        let help = "Packets that were not answered, by reason";
        registry.register("dhcp_silences", help, metrics.silences.clone());
        let help = "Packets of machines that boot, by what was decided for them";
        registry.register("boot_decisions", help, metrics.boots.clone());
        let help = "Packets of firmware that there is no boot file for, by architecture, or why";
        registry.register("boot_unserved", help, metrics.unserved.clone());
        let help = "Addresses that somebody used who did not get them from here";
        registry.register("dhcp_conflicts", help, metrics.conflicts.clone());
        registry.register("dhcp_leases", "Addresses by state", metrics.leases.clone());
        registry.register("dhcp_pool_addresses", "Addresses of all ranges", metrics.pool.clone());
        let help = "Interfaces whose addresses are in no subnet that is configured";
        registry.register("dhcp_links_without_subnet", help, metrics.without_subnet.clone());
        let help = "Writes of the lease file that failed; their clients were not answered";
        registry.register("lease_file_failures", help, metrics.log_failures.clone());
        let help = "Answers that could not be sent";
        registry.register("dhcp_send_failures", help, metrics.send_failures.clone());
        registry.register("file_readings", "Changed files, by result", metrics.readings.clone());
        metrics
    }

    pub(crate) fn requested(&self, kind: Option<MessageType>) {
        let r#type = kind.map_or("Unknown", Into::into);
        self.requests.get_or_create(&Kind { r#type }).inc();
    }

    pub(crate) fn answered(&self, kind: MessageType) {
        self.answers.get_or_create(&Kind { r#type: kind.into() }).inc();
    }

    pub(crate) fn silent(&self, reason: Silence) {
        self.silences.get_or_create(&Reason { reason: reason.into() }).inc();
    }

    pub(crate) fn malformed(&self, reason: Malformed) {
        self.silences.get_or_create(&Reason { reason: reason.into() }).inc();
    }

    pub(crate) fn decided(&self, boot: &Boot) {
        let reason = match boot {
            Boot::Default => "Default",
            Boot::Assigned { .. } => "Assigned",
            Boot::Nothing(reason) => reason.into(),
        };
        self.boots.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn unserved(&self, r#type: &'static str) {
        self.unserved.get_or_create(&Kind { r#type }).inc();
    }

    pub(crate) fn conflicted(&self) {
        self.conflicts.inc();
    }

    /// A packet came to a link where we have no address.
    pub(crate) fn no_server_address(&self) {
        self.silences.get_or_create(&Reason { reason: "NoServerAddress" }).inc();
    }

    /// More packets came than could be answered.
    pub(crate) fn overloaded(&self) {
        self.silences.get_or_create(&Reason { reason: "Overloaded" }).inc();
    }

    pub(crate) fn links(&self, without_subnet: usize) {
        self.without_subnet.set(signed(without_subnet));
    }

    pub(crate) fn not_logged(&self) {
        self.log_failures.inc();
    }

    pub(crate) fn not_sent(&self) {
        self.send_failures.inc();
    }

    /// A changed file was read.
    pub(crate) fn read(&self, file: &'static str, reading: Reading) {
        let result = match reading {
            Reading::Taken => "Taken",
            Reading::Refused => "Refused",
        };
        self.readings.get_or_create(&File { file, result }).inc();
    }

    pub(crate) fn count(&self, count: &Count) {
        let Count { pool, offered, bound, declined, past } = *count;
        for (state, value) in
            [("offered", offered), ("bound", bound), ("declined", declined), ("past", past)]
        {
            self.leases.get_or_create(&State { state }).set(signed(value));
        }
        self.pool.set(signed(pool));
    }
}

fn signed(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
