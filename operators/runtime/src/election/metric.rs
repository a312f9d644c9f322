//! Whether this replica leads, as `/readyz` and `/metrics` say.

use crate::{
    health::{Readiness, ReadinessCondition},
    metrics::{Registry, gauge},
};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, metrics::MetricType};
use std::fmt;

const NAME: &str = "leader";
const HELP: &str = "1 while this replica runs the controllers, otherwise 0";

/// The part that [`run_elected`](super::run_elected) opens while this replica leads: a line in `/readyz`, and a
/// gauge in `/metrics`.
pub fn leading(readiness: &Readiness, registry: &mut Registry) -> ReadinessCondition {
    let leading = readiness.note(NAME, "the lease");
    registry.register_collector(Leader(leading.clone()), [(NAME, HELP, MetricType::Gauge)]);
    leading
}

#[derive(Debug)]
struct Leader(ReadinessCondition);

impl Collector for Leader {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        gauge(&mut encoder, (NAME, HELP), i64::from(self.0.is_open()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_tells_whether_it_leads_and_when_it_no_longer_does() {
        let mut registry = Registry::of("example");
        let condition = leading(&Readiness::default(), &mut registry);
        let tells = |value| {
            let text = registry.text().unwrap();
            assert!(text.contains(&format!("\nexample_leader {value}\n")), "{text}");
        };
        tells(0);
        condition.open();
        tells(1);
        condition.wait_for("the lease, after it was lost");
        tells(0);
    }
}
