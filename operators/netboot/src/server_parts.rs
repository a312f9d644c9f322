//! What the DHCP servers of both IP versions have in common.

use crate::{
    machines::Machines,
    recorder::{RecordedBmcs, Sightings},
    shared_leases::SharedLeases,
};
use metal_core::macdb::MacDb;
use metal_dhcp::config::Config;
use metal_runtime::health::ReadinessCondition;
use metal_serve::{dhcp::Metrics, neighbor_limit::NeighborLimit};
use std::{path::PathBuf, sync::Arc};
use tokio::sync::watch;

/// What a DHCP server consists of.
#[derive(Debug)]
pub(crate) struct ServerParts {
    /// The configuration, now and after each change.
    pub config: watch::Receiver<Arc<Config>>,
    /// The MAC prefixes of BMCs, now and after each change.
    pub bmcs: watch::Receiver<Arc<MacDb>>,
    /// What machines boot; `None` for what the configuration has.
    pub machines: Option<Arc<Machines>>,
    /// Known addresses.
    pub neighbors: NeighborLimit,
    /// The lease file of DHCPv4; that of DHCPv6 is next to it.
    pub lease_file: Option<PathBuf>,
    /// The recorded BMCs, whose addresses nobody else gets.
    pub recorded: Option<RecordedBmcs>,
    /// Receives sightings of BMCs.
    pub sightings: Option<Sightings>,
    /// Publishes the leases, and knows whether packets are answered.
    pub published: Option<SharedLeases>,
    /// What is counted.
    pub metrics: Metrics,
    /// Opened once all bind targets are served.
    pub ready: ReadinessCondition,
}
