//! Puts the parts together. Nothing is detached: whatever ends first ends the process.

use crate::{
    Parts,
    args::Args,
    machines::Machines,
    metrics::Metrics,
    published::Published,
    publisher::Publisher,
    recorder::{self, MANAGER, Recorder, Sightings},
    server, standby, tftp, v6,
};
use anyhow::Context as _;
use futures::future::{FusedFuture, FutureExt};
use kube::{
    Client,
    runtime::events::{Recorder as Events, Reporter as Source},
};
use metal_core::{
    dhcp::{Config, Sharing},
    macdb::MacDb,
};
use metal_runtime::{
    admin::Admin,
    args::ElectionArgs,
    client,
    file::{Followed, Reading},
    health::{Gate, Readiness},
    lease::Candidate,
    report::{Failures, Reporter},
};
use prometheus_client::{metrics::family::Family, registry::Registry};
use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc};
use tokio::{
    sync::{oneshot, watch},
    task::{JoinHandle, spawn_blocking},
};
use tokio_util::sync::CancellationToken;

/// Serves until `shutdown`.
///
/// # Errors
///
/// If it cannot start, or a part ends that must not.
pub async fn run(args: Args, shutdown: CancellationToken) -> anyhow::Result<()> {
    args.check()?;
    let config = Followed::open("--config", &args.config, Config::parse).await?;
    args.check_with(&config.subscribe().borrow())?;
    let database = match &args.mac_prefixes_file {
        Some(path) => Some(Followed::open("--mac-prefixes-file", path, MacDb::parse).await?),
        None => None,
    };
    let bmcs = match &database {
        Some(database) => database.subscribe(),
        None => watch::Sender::new(Arc::new(MacDb::default())).subscribe(),
    };
    let admin = Admin::bind(&args.admin).await?;
    let (mut registry, readiness) = (Registry::default(), Readiness::default());
    let metrics = Metrics::register(&mut registry);
    let recorder = if args.no_endpoints {
        None
    } else {
        Some(recorder(&args, config.subscribe(), bmcs.clone(), &readiness, &mut registry).await?)
    };
    let watch = recorder.as_ref().map(|recorder| Watch {
        client: recorder.client.clone(),
        machines: Arc::default(),
        listed: readiness.note("machines", "the API server"),
    });
    let mut publishing = match &recorder {
        Some(recorder) => {
            let config = config.subscribe();
            Some(publishing(&args, recorder.client.clone(), config, &readiness, &mut registry))
        }
        None => None,
    };
    let published = publishing.as_ref().map(|publishing| publishing.published.clone());
    let parts = Parts {
        config: config.subscribe(),
        bmcs: bmcs.clone(),
        machines: watch.as_ref().map(|watch| Arc::clone(&watch.machines)),
        lease_file: args.lease_file.clone(),
        sightings: recorder.as_ref().map(|recorder| recorder.sightings.clone()),
        published: published.clone(),
        metrics: metrics.clone(),
        ready: readiness.gate("dhcp", "its sockets"),
    };
    let serve = |opened, stop: &_| server::serve(parts, opened, stop);
    let (serving, addresses) = start(serve, &shutdown).await;
    if let Some(addresses) = addresses {
        tracing::info!(?addresses, "serving DHCP");
    }
    let parts = tftp::Parts {
        config: config.subscribe(),
        machines: watch.as_ref().map(|watch| Arc::clone(&watch.machines)),
        metrics: tftp::Metrics::register(&mut registry),
        ready: readiness.gate("tftp", "its sockets"),
    };
    let serve = |opened, stop: &_| tftp::serve(parts, opened, stop);
    let (transferring, addresses) = start(serve, &shutdown).await;
    if let Some(addresses) = addresses.filter(|addresses| !addresses.is_empty()) {
        tracing::info!(?addresses, "serving TFTP");
    }
    let parts = Parts {
        config: config.subscribe(),
        bmcs,
        machines: watch.as_ref().map(|watch| Arc::clone(&watch.machines)),
        lease_file: args.lease_file.clone(),
        sightings: recorder.as_ref().map(|recorder| recorder.sightings.clone()),
        published,
        metrics: v6::Metrics::register(&mut registry),
        ready: readiness.gate("dhcp6", "its sockets"),
    };
    let serve = |opened, stop: &_| v6::serve(parts, opened, stop);
    let (serving6, addresses) = start(serve, &shutdown).await;
    if let Some(addresses) = addresses.filter(|addresses| !addresses.is_empty()) {
        tracing::info!(?addresses, "serving DHCPv6");
    }
    let mut serving = pin!(all(serving, transferring, serving6, &shutdown).fuse());

    let told = |file: &'static str| {
        let metrics = metrics.clone();
        move |reading| metrics.read(file, reading)
    };
    let ended = tokio::select! {
        served = &mut serving => served,
        told = admin.serve(readiness, registry, shutdown.clone()) => told.context("admin ended"),
        never = config.follow(told("config")) => match never {},
        never = follow(database, told("mac-prefixes")) => match never {},
        ended = record(recorder) => ended,
        ended = follow_machines(watch) => ended,
        ended = Box::pin(publish(publishing.as_mut())) => ended,
    };
    // The lease file is closed in order, also when it was not the end of the packet path.
    shutdown.cancel();
    let served = if serving.is_terminated() { Ok(()) } else { serving.await };
    release(publishing).await;
    served.and(ended)
}

/// Nobody is answered here any more: the other instance need not wait to see that.
async fn release(publishing: Option<Publishing>) {
    if let Some(candidate) = publishing.and_then(|publishing| publishing.candidate) {
        candidate.release().await;
    }
}

/// Starts a server on a thread of its own; with the addresses of its sockets, once they are open.
async fn start<E: Send + 'static>(
    serve: impl FnOnce(oneshot::Sender<Vec<SocketAddr>>, &CancellationToken) -> Result<(), E>
    + Send
    + 'static,
    shutdown: &CancellationToken,
) -> (JoinHandle<Result<(), E>>, Option<Vec<SocketAddr>>) {
    let (opened, is_open) = oneshot::channel();
    let stop = shutdown.clone();
    let serving = spawn_blocking(move || serve(opened, &stop));
    // An error says that it ended before it opened anything, which is told where it is awaited.
    (serving, is_open.await.ok())
}

/// The servers, which end together.
async fn all(
    dhcp: JoinHandle<Result<(), server::Error>>,
    tftp: JoinHandle<Result<(), tftp::Error>>,
    dhcp6: JoinHandle<Result<(), v6::Error>>,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    // The guard of whichever ends first stops the others.
    let dhcp = async {
        let _stop = shutdown.clone().drop_guard();
        dhcp.await?.context("DHCP ended")
    };
    let tftp = async {
        let _stop = shutdown.clone().drop_guard();
        tftp.await?.context("TFTP ended")
    };
    let dhcp6 = async {
        let _stop = shutdown.clone().drop_guard();
        dhcp6.await?.context("DHCPv6 ended")
    };
    let (dhcp, tftp, dhcp6) = tokio::join!(dhcp, tftp, dhcp6);
    dhcp.and(tftp).and(dhcp6)
}

async fn follow(
    database: Option<Followed<MacDb, metal_core::macdb::ParseError>>,
    told: impl Fn(Reading),
) -> Infallible {
    match database {
        Some(database) => database.follow(told).await,
        None => std::future::pending().await,
    }
}

/// What is to be known of machines, and from whom.
struct Watch {
    client: Client,
    machines: Arc<Machines>,
    listed: Gate,
}

async fn follow_machines(watch: Option<Watch>) -> anyhow::Result<()> {
    match watch {
        Some(Watch { client, machines, listed }) => {
            machines.follow(&client, &listed).await.context("watch of machines ended")
        }
        None => std::future::pending().await,
    }
}

/// Who shows the leases, and who says whether we answer.
struct Publishing {
    published: Published,
    publisher: Arc<Publisher>,
    candidate: Option<Candidate>,
}

/// How instances share the work is what the configuration says now; that of one that runs does not
/// change.
fn publishing(
    args: &Args,
    client: Client,
    config: watch::Receiver<Arc<Config>>,
    readiness: &Readiness,
    registry: &mut Registry,
) -> Publishing {
    let instances = config.borrow().instances;
    let election = ElectionArgs {
        leader_elect: instances.is_some_and(|it| it.mode == Sharing::Standby),
        leader_elect_namespace: args.leader_elect_namespace.clone(),
        leader_elect_identity: None,
    };
    let candidate = election.candidate(&client, standby::LEASE);
    let candidate = candidate.map(|candidate| candidate.lasting(standby::DURATION));
    let leases = Published::new(instances);
    let listed = readiness.note("leases", "the API server");
    let writer = Publisher::new(client, leases.clone(), config, listed, registry);
    Publishing { published: leases, publisher: Arc::new(writer), candidate }
}

async fn publish(publishing: Option<&mut Publishing>) -> anyhow::Result<()> {
    let Some(Publishing { publisher, candidate, .. }) = publishing else {
        return std::future::pending().await;
    };
    let stand = async {
        match candidate {
            Some(candidate) => standby::stand(candidate, publisher).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = Arc::clone(publisher).run() => ended.context("watch of leases ended"),
        () = stand => Ok(()),
    }
}

async fn record(recorder: Option<Recorder>) -> anyhow::Result<()> {
    match recorder {
        Some(recorder) => recorder.run().await.context("recorder ended"),
        None => std::future::pending().await,
    }
}

async fn recorder(
    args: &Args,
    config: watch::Receiver<Arc<Config>>,
    database: watch::Receiver<Arc<MacDb>>,
    readiness: &Readiness,
    registry: &mut Registry,
) -> anyhow::Result<Recorder> {
    let client = client::connect(&args.client, concat!("netboot/", env!("CARGO_PKG_VERSION")))
        .await
        .context("Endpoints need an API server; give --no-endpoints to do without")?;
    let endpoints = Arc::new(recorder::endpoints());
    let sightings = Sightings::default();
    let listed = readiness.note("endpoints", "the API server");
    let source = Source { controller: MANAGER.to_owned(), instance: None };
    let passes = Family::default();
    registry.register("netboot_endpoint_passes", "BMCs recorded, by result", passes.clone());
    sightings.register(registry);
    let reporter =
        Reporter { controller: "endpoint", recorder: Events::new(client.clone(), source), passes };
    let failures = Failures::default();
    Ok(Recorder {
        client,
        endpoints,
        bmcs: Arc::new(recorder::bmcs()),
        database,
        sightings,
        config,
        reporter,
        listed,
        failures,
    })
}
