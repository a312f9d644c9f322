//! The metrics.

use metal_runtime::metrics::Registry;
use metal_serve::dhcp::{Metrics, Protocol};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};

/// Labels of an attestation; bounded by the code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Attested {
    /// `Issued`, `Challenged`, or why it was refused.
    pub(crate) result: &'static str,
}

/// Labels of a refused request; bounded by the code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Refusal {
    /// Why.
    pub(crate) reason: &'static str,
}

/// The registry of this binary.
pub(crate) fn registry() -> Registry {
    Registry::of("metalman")
}

/// Registers the metrics of attestation.
pub(crate) fn attested(registry: &mut Registry, attested: &Family<Attested, Counter>) {
    let help = "Attestations by machines, by result";
    registry.register("attestations", help, attested.clone());
}

/// Registers the metrics of DHCP.
pub(crate) fn dhcp(registry: &mut Registry) -> Metrics {
    Metrics::register_answers(registry, Protocol::DhcpV4)
}

/// Registers the metrics of HTTP requests.
pub(crate) fn refusals(registry: &mut Registry, refusals: &Family<Refusal, Counter>) {
    let help = "HTTP requests of machines that were refused, by reason";
    registry.register("http_refusals", help, refusals.clone());
}
