//! What `/metrics` tells beside the passes.

use crate::{Context, wiring::Queues};
use metal_api::{PowerState, ServerState};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Counts servers and queues when it is asked.
pub struct Fleet {
    ctx: Arc<Context<metal_bmc::Fleet>>,
    queues: Queues,
}

impl Fleet {
    /// A collector over what is known of the cluster.
    pub fn new(ctx: Arc<Context<metal_bmc::Fleet>>, queues: Queues) -> Self {
        Self { ctx, queues }
    }

    /// What was sent to the BMCs, and what became of it.
    fn redfish(&self) -> [(&'static str, &'static str, u64); 6] {
        let counters = self.ctx.bmcs.counters();
        [
            ("redfish_requests", "Requests to BMCs, logins included", counters.requests()),
            ("redfish_connections", "Connections to BMCs", counters.connections()),
            ("redfish_logins", "Sessions asked for", counters.logins()),
            ("redfish_refused", "Credentials refused by a BMC", counters.refused()),
            ("redfish_unreachable", "Requests without usable answer", counters.unreachable()),
            ("redfish_skipped", "Requests not sent to a silent BMC", counters.skipped()),
        ]
    }

    /// How many keys wait for each controller.
    fn depths(&self) -> [(String, i64); 6] {
        let queues = &self.queues;
        [
            ("endpoint", queues.endpoints.queue.len()),
            ("bmc", queues.bmcs.queue.len()),
            ("server", queues.servers.queue.len()),
            ("serverclaim", queues.claims.queue.len()),
            ("inherited", queues.inherited.queue.len()),
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
        family(&mut encoder, "metal_servers", "Servers by state", "state", by_state)?;
        family(&mut encoder, "metal_servers_power", "Servers by power", "power_state", power)?;
        family(&mut encoder, "workqueue_depth", "Keys that wait", "name", self.depths())?;
        for (name, help, value) in self.redfish() {
            let counter = ConstCounter::new(value);
            let descriptor = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(descriptor)?;
        }
        Ok(())
    }
}

fn family(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    label: &str,
    values: impl IntoIterator<Item = (String, i64)>,
) -> Result<(), fmt::Error> {
    let gauge = ConstGauge::new(0_i64);
    let mut family = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
    for (value, count) in values {
        let labels = [(label.to_owned(), value)];
        let gauge = ConstGauge::new(count);
        gauge.encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
