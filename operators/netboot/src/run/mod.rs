//! Composes the parts. Nothing is detached: whatever ends first ends the process.

mod cluster;
mod files;
mod servers;

use crate::{args::Args, metrics::FileReadings};
use cluster::Cluster;
use files::Files;
use futures::future::{FusedFuture, FutureExt};
use metal_runtime::{admin::Admin, health::Readiness, metrics::Registry};
use metal_serve::neighbor_limit::NeighborLimit;
use servers::Servers;
use std::pin::pin;
use tokio_util::sync::CancellationToken;

/// Serves until `shutdown`.
///
/// # Errors
///
/// If it cannot start, or if a part ends that must not.
pub async fn run(args: Args, shutdown: CancellationToken) -> anyhow::Result<()> {
    args.check()?;
    let files = Files::open(&args).await?;
    args.check_with(&files.config().borrow())?;
    let admin = Admin::bind(&args.admin).await?;
    let (mut registry, readiness) = (Registry::of("netboot"), Readiness::default());
    let readings = FileReadings::register(&mut registry);
    let mut cluster = if args.no_endpoints {
        None
    } else {
        Some(Cluster::connect(&args, &files, &readiness, &mut registry).await?)
    };
    let (reader, neighbors) = (cluster.as_ref(), NeighborLimit::default());
    let around = servers::ServerContext {
        args: &args,
        files: &files,
        cluster: reader,
        neighbors: &neighbors,
    };
    let servers = Servers::start(&around, &readiness, &mut registry, &shutdown).await;
    let mut serving = pin!(servers.ended(&shutdown).fuse());

    let ended = tokio::select! {
        served = &mut serving => served,
        () = admin.serve(readiness, registry, shutdown.clone()) => Ok(()),
        never = files.follow(&readings) => match never {},
        ended = Box::pin(follow(cluster.as_mut())) => ended,
    };
    // Close the lease file properly, even if it was another part that ended.
    shutdown.cancel();
    let served = if serving.is_terminated() { Ok(()) } else { serving.await };
    if let Some(cluster) = cluster {
        cluster.release().await;
    }
    served.and(ended)
}

async fn follow(cluster: Option<&mut Cluster>) -> anyhow::Result<()> {
    match cluster {
        Some(cluster) => Box::pin(cluster.follow()).await,
        None => std::future::pending().await,
    }
}
