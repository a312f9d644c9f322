//! The metrics.

use crate::view::View;
use metal_api::MachinePhase;
use metal_runtime::metrics::{Registry, gauges};
use metal_serve::dhcp::{Metrics, Protocol};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet},
    metrics::{MetricType, counter::Counter, family::Family},
};
use std::{collections::BTreeMap, fmt, sync::Arc};

const MACHINES: (&str, &str) =
    ("machines", "Machines of the site that metalman looks after, by phase");

/// Labels of an attestation; bounded by the code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Attested {
    /// `Issued`, `Challenged`, or why it was refused.
    pub(crate) result: &'static str,
}

/// Labels of a refused request; bounded by the code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RefusalLabels {
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
pub(crate) fn refusals(registry: &mut Registry, refusals: &Family<RefusalLabels, Counter>) {
    let help = "HTTP requests of machines that were refused, by reason";
    registry.register("http_refusals", help, refusals.clone());
}

/// Registers the number of Machines, by phase.
pub(crate) fn machines(registry: &mut Registry, view: &Arc<View>) {
    let (name, help) = MACHINES;
    registry.register_collector(Machines(Arc::clone(view)), [(name, help, MetricType::Gauge)]);
}

/// Counts Machines when it is read.
#[derive(Debug)]
struct Machines(Arc<View>);

impl Collector for Machines {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut by_phase: BTreeMap<String, i64> = BTreeMap::new();
        for machine in self.0.machines.all() {
            let phase = machine.status.as_ref().and_then(|status| status.phase.as_ref());
            // One that has none is somebody else's.
            if let Some(phase) = phase.map(MachinePhase::as_str) {
                *by_phase.entry(phase.to_owned()).or_default() += 1;
            }
        }
        gauges(&mut encoder, MACHINES, "phase", by_phase)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{OURS, cluster, machine};
    use metal_api::MachineStatus;

    #[tokio::test]
    async fn machines_are_counted_by_phase_without_those_of_somebody_else() {
        let with = |name: &str, last: u8, phase: Option<MachinePhase>| {
            let mut machine = machine(name, OURS, last);
            machine.status = Some(MachineStatus { phase, ..MachineStatus::default() });
            machine
        };
        let failed = || Some(MachinePhase::Failed);
        let all = [with("a", 1, failed()), with("b", 2, failed()), with("c", 3, None)];
        let ctx = cluster(all).await;
        let mut registry = registry();
        machines(&mut registry, &ctx.view);
        let text = registry.text().unwrap();
        assert!(text.contains("\nmetalman_machines{phase=\"Failed\"} 2\n"), "{text}");
        assert_eq!(text.matches("metalman_machines{").count(), 1, "{text}");
    }
}
