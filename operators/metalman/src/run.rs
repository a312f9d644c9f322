//! Composes the parts. Nothing is detached: whatever ends first ends the process.

use crate::{
    Context, NAME,
    args::Args,
    certificates::Certificates,
    cluster,
    ek_roots::EkRoots,
    http::{limits, router},
    listeners::Listeners,
    machine::Machines,
    metrics,
    operations::{Access, Bmcs},
    pem::to_pem,
    pull::{self, Settings},
    startup,
};
use anyhow::Context as _;
use kube::{Client, runtime::events::Recorder};
use metal_bmc::{Config, Fleet};
use metal_core::capability;
use metal_machine::site;
use metal_runtime::{
    Relist,
    admin::Admin,
    client,
    election::{leadership::Leadership, lease::Candidate},
    health::Readiness,
    listener,
    report::Reporters,
    work::Work,
};
use std::{sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How many Machines are reconciled concurrently.
const CONCURRENCY: usize = 32;
/// How many CertificateSigningRequests are reconciled concurrently.
const APPROVALS: usize = 4;
/// Time limit for logging out of all BMCs.
const LOGOUT: Duration = Duration::from_secs(5);

/// Serves until `shutdown`.
///
/// # Errors
///
/// If it cannot start, or if a part ends that must not.
pub async fn run(args: Args, shutdown: CancellationToken) -> anyhow::Result<()> {
    let client = client::connect(&args.client, NAME).await?;
    let args = startup::with_namespace(args, &client);
    let cluster_ca = to_pem(&client::authorities(&args.client).await?);
    let admin = Admin::bind(&args.admin()).await?;
    let listener = listen(&args).await?;
    let recorder = args.election.recorder(&client, NAME);
    let trees = startup::trees(&args, &shutdown).await?;
    let ek_roots = EkRoots::open(&args).await?;
    let ctx = context(&args, client, recorder.clone(), cluster_ca.clone(), ek_roots.as_ref());

    let (mut registry, readiness) = (metrics::registry(), Readiness::default());
    let leading = readiness.note("leader", "the lease");
    ctx.view.register(&readiness);
    metrics::attested(&mut registry, &ctx.attested);
    metrics::refusals(&mut registry, &ctx.refusals);
    let reporters = Reporters::new(recorder, &mut registry);
    let work = Arc::new(Work::new(reporters.of("machine")));
    let requests = Arc::new(Work::new(reporters.of("certificate")));

    let servers = Listeners::start(&args, &ctx, &readiness, &mut registry, &shutdown).await?;

    let relist = Relist::default();
    let candidate = args.election.candidate(&ctx.client, &site::lease(args.site()));
    let leadership = candidate.as_ref().map(Candidate::leadership).unwrap_or_default();
    let (fleet, access) = (Fleet::new(Config::default()), access(&args, leadership));
    let lead = async || {
        let bmcs = Bmcs::new(fleet.clone(), &ctx.client, access.clone());
        let machines = Machines::new(Arc::clone(&ctx), bmcs, args.time_limits.limits());
        let drive = work.drive(CONCURRENCY, machines);
        let approve = requests.drive(APPROVALS, Certificates(Arc::clone(&ctx)));
        shutdown.run_until_cancelled(async { tokio::join!(drive, approve) }).await;
    };
    let listed = async || ctx.view.listed().await;
    let elected = relist.run_elected(candidate, &leading, &shutdown, listed, lead);
    let router = router(Arc::clone(&ctx));
    let serve = listener::serve(listener, router, limits(), shutdown.clone());
    let pull = pull::pull(&ctx, &trees, &work.queue, Settings::default(), &shutdown);
    // After a shutdown, all parts end by themselves: the lease is released, and pending requests
    // are answered.
    let all = async { tokio::join!(serve, elected, pull, servers.ended(&shutdown)).3 };
    let key = startup::key(&args, &ctx.client);
    let key = key.provide(capability::Key::new, &ctx.key, || {});
    let source = startup::source(&args, &ctx.client, cluster_ca);
    let wake = || ctx.view.wake_all(&work.queue);
    let watch = || ctx.view.watch(&ctx.client, args.site(), &work.queue, &requests.queue);
    let watch = relist.follow_until(&shutdown, || ctx.view.doubt(), watch);
    let ended = tokio::select! {
        () = admin.serve(readiness, registry, CancellationToken::new()) => Ok(()),
        ended = all => ended,
        () = cluster::follow(source, &ctx.cluster, wake) => Ok(()),
        ended = key => match ended? {},
        never = EkRoots::follow(ek_roots) => match never {},
        ended = watch => Ok(ended?),
    };
    // BMCs have few sessions, so they must not be left open.
    fleet.close(LOGOUT).await;
    ended
}

fn access(args: &Args, leadership: Leadership) -> Access {
    Access {
        namespace: args.bmc_secret_namespace.clone(),
        plain_http: args.allow_plain_http_bmcs,
        leadership,
    }
}

/// What all parts share.
fn context(
    args: &Args,
    client: Client,
    recorder: Recorder,
    cluster_ca: Option<String>,
    ek_roots: Option<&EkRoots>,
) -> Arc<Context> {
    let namespace = startup::user_data_namespace(args, &client);
    let ctx = Context::new(client, recorder, &args.machine_namespace, cluster_ca);
    Arc::new(Context {
        serve_url: args.serve_url(),
        ek_roots: ek_roots.map(EkRoots::subscribe),
        user_data_namespace: namespace,
        trusted_proxies: args.trusted_proxies.clone(),
        node_name: args.node_name.clone(),
        pull_secret_namespace: args.pull_secret_namespace.clone(),
        ..ctx
    })
}

async fn listen(args: &Args) -> anyhow::Result<TcpListener> {
    let address = args.http_address();
    let listener = TcpListener::bind(address).await;
    let listener = listener.with_context(|| format!("--http-port: cannot listen on {address}"))?;
    tracing::info!(address = %listener.local_addr()?, flag = "--http-port", "listening");
    Ok(listener)
}
