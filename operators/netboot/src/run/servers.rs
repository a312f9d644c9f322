//! The servers: DHCPv4, TFTP and DHCPv6, each on a thread of its own.

use super::{cluster::Cluster, files::Files};
use crate::{Parts, args::Args, boot_files::BootFiles, server, v6};
use anyhow::Context as _;
use metal_dhcp::config::Config;
use metal_runtime::{
    health::{Gate, Readiness},
    metrics::Registry,
};
use metal_serve::{
    dhcp::{Metrics, Protocol},
    guests::Guests,
    tftp::{self, Metrics as TftpMetrics},
};
use std::{error::Error as StdError, net::SocketAddr, sync::Arc};
use tokio::{
    sync::oneshot,
    task::{JoinHandle, spawn_blocking},
};
use tokio_util::sync::CancellationToken;

/// What there is around the servers.
#[derive(Clone, Copy)]
pub(super) struct ServerContext<'a> {
    pub(super) args: &'a Args,
    pub(super) files: &'a Files,
    pub(super) cluster: Option<&'a Cluster>,
    pub(super) guests: &'a Guests,
}

impl ServerContext<'_> {
    /// What one of the two DHCP servers is made of.
    fn parts(&self, metrics: Metrics, ready: Gate) -> Parts {
        Parts {
            config: self.files.config(),
            bmcs: self.files.bmcs(),
            machines: self.cluster.map(|cluster| Arc::clone(&cluster.machines)),
            guests: self.guests.clone(),
            lease_file: self.args.lease_file.clone(),
            sightings: self.cluster.map(|cluster| cluster.sightings.clone()),
            published: self.cluster.map(|cluster| cluster.published.clone()),
            metrics,
            ready,
        }
    }

    fn tftp_parts(&self, metrics: TftpMetrics, ready: Gate) -> tftp::Parts<Config> {
        let machines = self.cluster.map(|cluster| Arc::clone(&cluster.machines));
        let files = BootFiles { config: self.files.config(), machines };
        let (addresses, guests) = (files.addresses(), self.guests.clone());
        tftp::Parts { addresses, files: Box::new(files), guests, metrics, ready }
    }
}

/// All of them.
pub(super) struct Servers {
    dhcp: JoinHandle<Result<(), server::Error>>,
    tftp: JoinHandle<Result<(), tftp::Error>>,
    dhcp6: JoinHandle<Result<(), v6::Error>>,
}

impl Servers {
    /// Starts them; each has its sockets open then, or has failed.
    pub(super) async fn start(
        around: &ServerContext<'_>,
        readiness: &Readiness,
        registry: &mut Registry,
        shutdown: &CancellationToken,
    ) -> Self {
        let metrics = Metrics::register(registry, Protocol::DhcpV4);
        let parts = around.parts(metrics, readiness.gate("dhcp", "its sockets"));
        let serve = |opened, stop: &_| server::serve(parts, opened, stop);
        let dhcp = start("serving DHCP", serve, shutdown).await;
        let (metrics, ready) =
            (TftpMetrics::register(registry), readiness.gate("tftp", "its sockets"));
        let parts = around.tftp_parts(metrics, ready);
        let serve = |opened, stop: &_| tftp::serve(parts, opened, stop);
        let tftp = start("serving TFTP", serve, shutdown).await;
        let metrics = Metrics::register(registry, Protocol::DhcpV6);
        let parts = around.parts(metrics, readiness.gate("dhcp6", "its sockets"));
        let serve = |opened, stop: &_| v6::serve(parts, opened, stop);
        let dhcp6 = start("serving DHCPv6", serve, shutdown).await;
        Self { dhcp, tftp, dhcp6 }
    }

    /// Waits until all have ended, which they do together.
    pub(super) async fn ended(self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let (dhcp, tftp, dhcp6) = tokio::join!(
            end(self.dhcp, "DHCP ended", shutdown),
            end(self.tftp, "TFTP ended", shutdown),
            end(self.dhcp6, "DHCPv6 ended", shutdown),
        );
        dhcp.and(tftp).and(dhcp6)
    }
}

/// Starts a server, and says at which addresses, if there is any, once its sockets are open.
async fn start<E: Send + 'static>(
    what: &'static str,
    serve: impl FnOnce(oneshot::Sender<Vec<SocketAddr>>, &CancellationToken) -> Result<(), E>
    + Send
    + 'static,
    shutdown: &CancellationToken,
) -> JoinHandle<Result<(), E>> {
    let (opened, is_open) = oneshot::channel();
    let stop = shutdown.clone();
    let serving = spawn_blocking(move || serve(opened, &stop));
    // An error says that it ended before it opened anything, which is told where it is awaited.
    if let Some(addresses) = is_open.await.ok().filter(|addresses| !addresses.is_empty()) {
        tracing::info!(?addresses, "{what}");
    }
    serving
}

/// Waits for the end of a server, and stops the others.
async fn end<E: StdError + Send + Sync + 'static>(
    server: JoinHandle<Result<(), E>>,
    what: &'static str,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let _stop = shutdown.clone().drop_guard();
    server.await?.context(what)
}
