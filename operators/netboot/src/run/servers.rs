//! The servers: DHCPv4, TFTP and DHCPv6, each on its own thread.

use super::{cluster::Cluster, files::Files};
use crate::{ServerParts, args::Args, boot_files::BootFiles, v4, v6};
use metal_dhcp::config::Config;
use metal_runtime::{
    health::{Readiness, ReadinessCondition},
    metrics::Registry,
};
use metal_serve::{
    dhcp::{Metrics, Protocol},
    neighbor_limit::NeighborLimit,
    tftp::{self, Metrics as TftpMetrics},
    threads::{Running, start},
};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What the servers depend on.
#[derive(Clone, Copy)]
pub(super) struct ServerContext<'a> {
    pub(super) args: &'a Args,
    pub(super) files: &'a Files,
    pub(super) cluster: Option<&'a Cluster>,
    pub(super) neighbors: &'a NeighborLimit,
}

impl ServerContext<'_> {
    /// The parts of one of the two DHCP servers.
    fn parts(&self, metrics: Metrics, ready: ReadinessCondition) -> ServerParts {
        ServerParts {
            config: self.files.config(),
            bmcs: self.files.bmcs(),
            machines: self.cluster.map(|cluster| Arc::clone(&cluster.machines)),
            neighbors: self.neighbors.clone(),
            lease_file: self.args.lease_file.clone(),
            recorded: self.cluster.map(Cluster::recorded),
            sightings: self.cluster.map(|cluster| cluster.sightings.clone()),
            published: self.cluster.map(|cluster| cluster.published.clone()),
            metrics,
            ready,
        }
    }

    fn tftp_parts(&self, metrics: TftpMetrics, ready: ReadinessCondition) -> tftp::Parts<Config> {
        let machines = self.cluster.map(|cluster| Arc::clone(&cluster.machines));
        let files = BootFiles { config: self.files.config(), machines };
        let (addresses, neighbors) = (files.addresses(), self.neighbors.clone());
        tftp::Parts { addresses, files: Box::new(files), neighbors, metrics, ready }
    }
}

/// All servers.
pub(super) struct Servers {
    dhcp: Running<v4::Error>,
    tftp: Running<tftp::Error>,
    dhcp6: Running<v6::Error>,
}

impl Servers {
    /// Starts them; when this returns, each has opened its sockets, or has failed.
    pub(super) async fn start(
        around: &ServerContext<'_>,
        readiness: &Readiness,
        registry: &mut Registry,
        shutdown: &CancellationToken,
    ) -> Self {
        let metrics = Metrics::register(registry, Protocol::DhcpV4);
        let parts = around.parts(metrics, readiness.gate("dhcp", "its sockets"));
        let serve = |opened, stop: &_| v4::serve(parts, opened, stop);
        let dhcp = start("DHCP", serve, shutdown).await;
        let (metrics, ready) =
            (TftpMetrics::register(registry), readiness.gate("tftp", "its sockets"));
        let parts = around.tftp_parts(metrics, ready);
        let serve = |opened, stop: &_| tftp::serve(parts, opened, stop);
        let tftp = start("TFTP", serve, shutdown).await;
        let metrics = Metrics::register(registry, Protocol::DhcpV6);
        let parts = around.parts(metrics, readiness.gate("dhcp6", "its sockets"));
        let serve = |opened, stop: &_| v6::serve(parts, opened, stop);
        let dhcp6 = start("DHCPv6", serve, shutdown).await;
        Self { dhcp, tftp, dhcp6 }
    }

    /// Waits until all have ended, which they do together.
    pub(super) async fn ended(self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let (dhcp, tftp, dhcp6) = tokio::join!(
            self.dhcp.ended(shutdown),
            self.tftp.ended(shutdown),
            self.dhcp6.ended(shutdown),
        );
        dhcp?;
        tftp?;
        Ok(dhcp6?)
    }
}
