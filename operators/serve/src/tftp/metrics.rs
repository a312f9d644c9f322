//! What `/metrics` tells of TFTP.

use metal_dhcp::tftp::Code;
use metal_runtime::metrics::Registry;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
};

/// The metrics of the TFTP server.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    transfers: Family<ResultLabels, Counter>,
    active: Gauge,
    unproven: Gauge,
    bytes: Counter,
    errors: Family<Error, Counter>,
    refusals: Family<Reason, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Error {
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

impl Metrics {
    /// Registers the metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help = "Completed transfers, by result";
        registry.register("tftp_transfers", help, metrics.transfers.clone());
        registry.register("tftp_active_transfers", "Active transfers", metrics.active.clone());
        let help =
            "Answered requests whose client has not yet sent a packet from the address it claims";
        registry.register("tftp_unproven_requests", help, metrics.unproven.clone());
        let help = "Bytes acknowledged by clients";
        registry.register("tftp_bytes", help, metrics.bytes.clone());
        let help = "ERROR packets sent, by code";
        registry.register("tftp_errors", help, metrics.errors.clone());
        let help = "Requests refused, by reason";
        registry.register("tftp_refusals", help, metrics.refusals.clone());
        metrics
    }

    pub(super) fn refused(&self, reason: &'static str) {
        self.refusals.get_or_create(&Reason { reason }).inc();
    }

    pub(super) fn sent_error(&self, code: Code) {
        self.errors.get_or_create(&Error { code: code.into() }).inc();
    }

    pub(super) fn ended(&self, result: &'static str, bytes: u64) {
        self.transfers.get_or_create(&ResultLabels { result }).inc();
        self.bytes.inc_by(bytes);
    }

    pub(super) fn count(&self, active: usize, unproven: usize) {
        self.active.set(i64::try_from(active).unwrap_or(i64::MAX));
        self.unproven.set(i64::try_from(unproven).unwrap_or(i64::MAX));
    }
}
