//! The metrics other than those of passes.

use crate::{Context, wiring::Queues};
use metal_api::{PowerState, ServerState};
use metal_runtime::metrics::{Registry, gauges};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
    },
};
use std::{collections::BTreeMap, fmt, sync::Arc};

const GAUGES: [(&str, &str); 3] = [
    ("servers", "Servers, by state"),
    ("servers_power", "Servers, by power state"),
    ("workqueue_depth", "Objects waiting for reconciliation, by controller"),
];
const REDFISH: [(&str, &str); 6] = [
    ("redfish_requests", "Requests to BMCs, including logins"),
    ("redfish_connections", "Connections to BMCs"),
    ("redfish_logins", "Session logins"),
    ("redfish_refused", "Logins rejected by a BMC"),
    ("redfish_unreachable", "Requests without a usable response"),
    ("redfish_skipped", "Requests not sent because the BMC was not responding"),
];

/// The registry of this binary.
pub(crate) fn registry() -> Registry {
    Registry::of("metal_operator")
}

/// Registers the counter of the report registry.
pub(crate) fn answers(registry: &mut Registry) -> Family<Vec<(String, String)>, Counter> {
    let answers = Family::default();
    registry.register(
        "registry_answers",
        "Responses of the report registry, by status",
        answers.clone(),
    );
    answers
}

/// Names, texts and types of what a [`Fleet`] counts.
pub(crate) fn of_fleet() -> impl Iterator<Item = (&'static str, &'static str, MetricType)> {
    let gauges = GAUGES.into_iter().map(|(name, help)| (name, help, MetricType::Gauge));
    let counters = REDFISH.into_iter().map(|(name, help)| (name, help, MetricType::Counter));
    gauges.chain(counters)
}

/// Counts servers and queues when it is read.
pub(crate) struct Fleet {
    ctx: Arc<Context<metal_bmc::Fleet>>,
    queues: Queues,
}

impl Fleet {
    /// A collector for this context.
    pub(crate) fn new(ctx: Arc<Context<metal_bmc::Fleet>>, queues: Queues) -> Self {
        Self { ctx, queues }
    }

    /// Requests to BMCs and their outcomes, in the order of [`REDFISH`].
    fn redfish(&self) -> [u64; REDFISH.len()] {
        let counters = self.ctx.bmcs.counters();
        [
            counters.requests(),
            counters.connections(),
            counters.logins(),
            counters.refused(),
            counters.unreachable(),
            counters.skipped(),
        ]
    }

    /// How many keys are waiting for each controller.
    fn depths(&self) -> [(String, i64); 6] {
        let queues = &self.queues;
        [
            ("endpoint", queues.endpoints.queue.len()),
            ("bmc", queues.bmcs.queue.len()),
            ("server", queues.servers.queue.len()),
            ("serverclaim", queues.claims.queue.len()),
            ("inherited", queues.foreign_cleanup.queue.len()),
            ("notices", queues.notices.queue.len()),
        ]
        .map(|(name, length)| (name.to_owned(), i64::try_from(length).unwrap_or(i64::MAX)))
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fleet")
    }
}

impl Collector for Fleet {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut by_state: BTreeMap<String, i64> = BTreeMap::new();
        let mut power: BTreeMap<String, i64> = BTreeMap::new();
        for server in self.ctx.view.servers.all() {
            let status = server.status.as_ref();
            let state = status.and_then(|status| status.state.as_ref());
            let state = state.map_or("Initial", ServerState::as_str);
            *by_state.entry(state.to_owned()).or_default() += 1;
            let on = status.and_then(|status| status.power_state.as_ref());
            let on = on.map_or("Unknown", PowerState::as_str);
            *power.entry(on.to_owned()).or_default() += 1;
        }
        let [states, powers, depths] = GAUGES;
        gauges(&mut encoder, states, "state", by_state)?;
        gauges(&mut encoder, powers, "power_state", power)?;
        gauges(&mut encoder, depths, "name", self.depths())?;
        for ((name, help), value) in REDFISH.into_iter().zip(self.redfish()) {
            let counter = ConstCounter::new(value);
            let descriptor = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(descriptor)?;
        }
        Ok(())
    }
}
