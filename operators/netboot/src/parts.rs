use crate::{machines::Machines, published::Published, recorder::Sightings};
use metal_core::macdb::MacDb;
use metal_dhcp::config::Config;
use metal_runtime::health::Gate;
use metal_serve::{dhcp::Metrics, neighbor_limit::NeighborLimit};
use std::{path::PathBuf, sync::Arc};
use tokio::sync::watch;

/// What a DHCP server is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The configuration, now and from now on.
    pub config: watch::Receiver<Arc<Config>>,
    /// Who is a BMC, now and from now on.
    pub bmcs: watch::Receiver<Arc<MacDb>>,
    /// What machines boot; without it what the configuration has.
    pub machines: Option<Arc<Machines>>,
    /// Whose addresses are known.
    pub neighbors: NeighborLimit,
    /// Where leases are kept: those of DHCPv4; those of DHCPv6 are beside it.
    pub lease_file: Option<PathBuf>,
    /// Who hears of BMCs.
    pub sightings: Option<Sightings>,
    /// Who shows the leases to others, and says whether we answer.
    pub published: Option<Published>,
    /// What is counted.
    pub metrics: Metrics,
    /// Opened once every place is served.
    pub ready: Gate,
}
