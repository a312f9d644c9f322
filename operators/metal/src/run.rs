//! Composes the parts. Nothing is detached: whatever ends first ends the process.

use crate::{
    Context, MANAGER, Unreadable,
    args::{Args, NewServers},
    bmc::Bmcs,
    bmc_users::BmcUsers,
    claim::Claims,
    endpoint::Endpoints,
    foreign_cleanup::{self, ForeignCleanup},
    macdb::MacPrefixes,
    media::Media,
    memory::Memories,
    metrics,
    notices::{self, Notices},
    registry::{self, Registry},
    server::Servers,
    startup,
    view::View,
    wiring::{self, Queues},
};
use anyhow::Context as _;
use jiff::Timestamp;
use kube::Client;
use metal_bmc::{Connect, Fleet};
use metal_core::{capability::Key, macdb::MacDb, redfish::Scheme};
use metal_runtime::{
    LogLimit, Relist,
    admin::Admin,
    client,
    election::{self, leadership::Leadership, lease::Candidate},
    file::Followed,
    health::Readiness,
    listener::{self, Limits},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::Semaphore,
    sync::mpsc::{Sender, channel},
};
use tokio_util::sync::CancellationToken;

/// The Lease of the leader; the same as ironcore's, so that the two never work on one fleet at a
/// time.
const LEASE: &str = "f26702e4.ironcore.dev";
/// How many Endpoints, and how many BMCs, are processed at a time.
const CONCURRENCY: usize = 32;

/// Time limit for logging out of all BMCs.
const LOGOUT: Duration = Duration::from_secs(5);
/// How many objects that cannot be parsed may be queued for reporting; the log has them all.
const UNREADABLE: usize = 256;

/// Runs the operator until `shutdown`.
///
/// # Errors
///
/// If it cannot start, or if a part ends that must not.
pub async fn run(args: Args, shutdown: CancellationToken) -> anyhow::Result<()> {
    args.check()?;
    warn_of_risks(&args);
    let client = client::connect(&args.runtime.client, MANAGER).await?;
    let admin = Admin::bind(&args.runtime.admin).await?;
    let (mut metrics, readiness) = (metrics::registry(), Readiness::default());
    let leading = election::leading(&readiness, &mut metrics);
    let (unreadable, broken) = channel(UNREADABLE);
    let candidate = args.runtime.election.candidate(&client, LEASE);
    let leadership = candidate.as_ref().map(Candidate::leadership).unwrap_or_default();
    let ctx = context(&args, &client, unreadable, leadership).await?;
    ctx.view.register(&readiness, Timestamp::now());
    let queues = Queues::new(&ctx.recorder, &mut metrics);
    let fleet = metrics::Fleet::new(Arc::clone(&ctx), queues.clone());
    metrics.register_collector(fleet, metrics::of_fleet());
    let listener = listen(&args).await?;
    let router = registry::router(Arc::new(report_registry(&args, &ctx, &mut metrics)));
    let limits = Limits::reports(registry::LARGEST_BODY);
    let serve = listener::serve(listener, router, limits, shutdown.clone());
    let prefixes = prefixes(&args, &ctx, &queues);
    let relist = Relist::default();
    let work = async || lead(&args, &ctx, &queues, &shutdown).await;
    let listed = async || ctx.view.listed().await;
    let elected = relist.run_elected(candidate, &leading, &shutdown, listed, work);
    // After a shutdown both end on their own: the lease is released, and reports in progress are
    // taken.
    let both = async { tokio::join!(serve, elected) };
    let shared_key = startup::key(&args, &client);
    let watch =
        relist.follow_until(&shutdown, || ctx.view.doubt(), || wiring::watch(&ctx, &queues));
    let ended = tokio::select! {
        () = admin.serve(readiness, metrics, CancellationToken::new()) => Ok(()),
        _ = Box::pin(both) => Ok(()),
        ended = Box::pin(watch) => Ok(ended?),
        () = Box::pin(foreign_cleanup::watch(&client, &queues.foreign_cleanup, |key| {
            queues.notices.queue.add(notices::Key::Other(key));
        })) => anyhow::bail!("a watch ended"),
        ended = prefixes => ended,
        ended = shared_key.provide(Key::new, &ctx.discovery.key, || {}) => match ended? {},
        () = ctx.tell_unreadable(broken) => anyhow::bail!(
            "reporting of unparseable objects stopped",
        ),
    };
    // In case something other than the shutdown has ended it.
    ctx.bmcs.close(LOGOUT).await;
    ended
}

/// The term of a leader.
async fn lead(
    args: &Args,
    ctx: &Arc<Context<Fleet>>,
    queues: &Queues,
    shutdown: &CancellationToken,
) {
    ctx.memories.begin_term();
    // Nothing can be discovered without it.
    if shutdown.run_until_cancelled(ctx.discovery.key.wait()).await.is_none() {
        return;
    }
    controllers(args, ctx, queues, shutdown.clone()).await;
    // BMCs have few sessions, and whoever gets the lease logs in at once.
    ctx.bmcs.close(LOGOUT).await;
}

/// Runs until `shutdown`. A pass in progress is then dropped at its next await point: any write may
/// be the last one.
async fn controllers<C: Connect>(
    args: &Args,
    ctx: &Arc<Context<C>>,
    queues: &Queues,
    shutdown: CancellationToken,
) {
    let ctx = || Arc::clone(ctx);
    let endpoints = queues.endpoints.drive(CONCURRENCY, Endpoints(ctx()));
    let bmcs = queues.bmcs.drive(CONCURRENCY, Bmcs::new(ctx()));
    let servers = queues.servers.drive(args.server_max_concurrent_reconciles, Servers(ctx()));
    let claims =
        queues.claims.drive(args.server_claim_max_concurrent_reconciles, Claims::new(ctx()));
    let foreign_cleanup = queues.foreign_cleanup.drive(CONCURRENCY, ForeignCleanup(ctx()));
    // One at a time: after a start there may be thousands, and none is urgent.
    let notices = queues.notices.drive(1, Notices::new(ctx()));
    tokio::select! {
        () = endpoints => {}
        () = foreign_cleanup => {}
        () = notices => {}
        () = bmcs => {}
        () = servers => {}
        () = claims => {}
        () = shutdown.cancelled() => {}
    }
}

async fn context(
    args: &Args,
    client: &Client,
    unreadable: Sender<Unreadable>,
    leadership: Leadership,
) -> anyhow::Result<Arc<Context<Fleet>>> {
    Ok(Arc::new(Context {
        client: client.clone(),
        view: Arc::new(View::default()),
        recorder: args.runtime.election.recorder(client, MANAGER),
        bmcs: Fleet::new(startup::bmcs(args).await?),
        users: BmcUsers::default(),
        memories: Memories::default(),
        settings: args.settings(),
        default_scheme: args.default_scheme(),
        verification: args.verification(),
        holds_new: args.new_servers == NewServers::Held,
        unanswered: Semaphore::new(CONCURRENCY / 2),
        mac_prefixes: Arc::new(MacPrefixes::default()),
        discovery: startup::discovery(args).await?,
        media: args.virtual_media()?.map(|url| Media::new(url, &args.manager_namespace)),
        unreadable,
        leadership,
    }))
}

fn report_registry(
    args: &Args,
    ctx: &Context<Fleet>,
    metrics: &mut metal_runtime::metrics::Registry,
) -> Registry {
    Registry {
        client: ctx.client.clone(),
        view: Arc::clone(&ctx.view),
        key: ctx.discovery.key.clone(),
        boot_key: registry::BootKey::new(&args.manager_namespace),
        tokenless: args.registry_allow_tokenless,
        answers: metrics::answers(metrics),
        told: LogLimit::default(),
        stored: registry::Stored::default(),
        bodies: registry::Bodies::default(),
    }
}

/// Reads the MAC prefix database, and again whenever it changes.
async fn prefixes<C>(args: &Args, ctx: &Arc<Context<C>>, queues: &Queues) -> anyhow::Result<()> {
    let Some(path) = &args.mac_prefixes_file else {
        return std::future::pending().await;
    };
    let file = Followed::open("--mac-prefixes-file", path, MacDb::parse).await?;
    ctx.mac_prefixes.set(file.subscribe());
    let wake = || {
        let current = ctx.mac_prefixes.current();
        if current
            .as_ref()
            .is_some_and(|it| it.entries().iter().any(|entry| entry.console.is_some()))
        {
            tracing::warn!("--mac-prefixes-file: `console` has no effect in this version");
        }
        for skipped in current.iter().flat_map(|it| it.skipped()) {
            tracing::warn!(%skipped, "--mac-prefixes-file: skipping an entry");
        }
        for endpoint in ctx.view.endpoints.all() {
            queues.endpoints.queue.add(kube::ResourceExt::name_any(&*endpoint));
        }
    };
    wake();
    match file.follow(|_| wake()).await {}
}

async fn listen(args: &Args) -> anyhow::Result<TcpListener> {
    let address = match &args.registry_bind_address {
        Some(address) => address.clone(),
        None => format!(":{}", args.registry_port).parse()?,
    };
    let bound = address.listen().await.with_context(|| format!("registry on {address}"))?;
    bound.context("--registry-bind-address: the registry cannot be disabled")
}

fn warn_of_risks(args: &Args) {
    if args.registry_allow_tokenless {
        tracing::warn!(
            "--registry-allow-tokenless: anyone who can reach the registry can forge inventories"
        );
    }
    if args.skip_cert_validation {
        tracing::warn!(
            "--skip-cert-validation: BMC connections are not protected against man-in-the-middle \
             attacks"
        );
    }
    if args.default_scheme() == Scheme::Http {
        tracing::warn!("BMCs without protocol.scheme are accessed over plain HTTP: set --protocol");
    }
}
