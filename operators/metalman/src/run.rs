//! Composes the parts. Nothing is detached: whatever ends first ends the process.

use crate::{
    Context, NAME,
    args::Args,
    certificates::Certificates,
    cluster,
    ek_roots::EkRoots,
    http::{limits, router},
    listeners::Common,
    machine::Machines,
    metrics,
    operations::{Access, Bmcs},
    pem::to_pem,
    pull::{Puller, Settings},
    startup,
};
use anyhow::Context as _;
use metal_bmc::{Config, Fleet};
use metal_core::capability;
use metal_machine::{operations::Limits, site};
use metal_runtime::{
    Relist,
    admin::Admin,
    client,
    election::{self, leadership::Leadership, lease::Candidate},
    health::Readiness,
    index::Ended,
    listener,
    metrics::Registry,
    queue::Queue,
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
    let admin = Admin::bind(&args.admin()).await?.at_loopback_too().await;
    let listener = listen(&args).await?;
    let recorder = args.election.recorder(&client, NAME);
    let trees = startup::trees(&args, &shutdown).await?;
    let ek_roots = EkRoots::open(&args).await?;
    let namespace = &args.machine_namespace;
    let ctx = Context::new(client, recorder.clone(), namespace, cluster_ca.clone());
    let ctx = configured(ctx, &args, ek_roots.as_ref());

    let (mut registry, readiness) = (registry(&ctx), Readiness::default());
    let leading = election::leading(&readiness, &mut registry);
    ctx.view.register(&readiness);
    let reporters = Reporters::new(recorder, &mut registry);

    let servers = Common::new(&args, &ctx, &readiness, &shutdown).start(&mut registry).await?;

    let relist = Relist::default();
    let candidate = args.election.candidate(&ctx.client, &site::lease(args.site()));
    let leadership = candidate.as_ref().map(Candidate::leadership).unwrap_or_default();
    let controllers = Controllers::new(&args, &ctx, leadership, &reporters);
    let queue = &controllers.machines.queue;
    let listed = async || ctx.view.listed().await;
    let lead = async || controllers.run_until(&shutdown).await;
    let elected = relist.run_elected(candidate, &leading, &shutdown, listed, lead);
    let router = router(Arc::clone(&ctx));
    let serve = listener::serve(listener, router, limits(), shutdown.clone());
    let puller = Puller::new(&ctx, &trees, queue, Settings::default());
    let pull = puller.run_until(&shutdown);
    // After a shutdown, all parts end by themselves: the lease is released, and pending requests
    // are answered.
    let all = async { tokio::join!(serve, elected, pull, servers.ended(&shutdown)).3 };
    let learn = learn(&args, &ctx, cluster_ca, queue);
    let watch =
        relist.follow_until(&shutdown, || ctx.view.doubt(), || controllers.watch(args.site()));
    let ended = tokio::select! {
        () = admin.serve(readiness, registry, CancellationToken::new()) => Ok(()),
        ended = all => ended,
        ended = learn => ended,
        never = EkRoots::follow(ek_roots) => match never {},
        ended = watch => Ok(ended?),
    };
    // BMCs have few sessions, so they must not be left open.
    controllers.fleet.close(LOGOUT).await;
    ended
}

/// The metrics of what is there by now.
fn registry(ctx: &Context) -> Registry {
    let mut registry = metrics::registry();
    metrics::attested(&mut registry, &ctx.attested);
    metrics::refusals(&mut registry, &ctx.refusals);
    metrics::machines(&mut registry, &ctx.view);
    registry
}

/// What the replica that leads runs.
struct Controllers {
    ctx: Arc<Context>,
    fleet: Fleet,
    access: Access,
    limits: Limits,
    machines: Arc<Work<String>>,
    certificates: Arc<Work<String>>,
}

impl Controllers {
    fn new(args: &Args, ctx: &Arc<Context>, leadership: Leadership, reporters: &Reporters) -> Self {
        Self {
            ctx: Arc::clone(ctx),
            fleet: Fleet::new(Config::default()),
            access: access(args, leadership),
            limits: args.time_limits.limits(),
            machines: Arc::new(Work::new(reporters.of("machine"))),
            certificates: Arc::new(Work::new(reporters.of("certificate"))),
        }
    }

    /// Runs them until `shutdown`, without what they remembered when this process led before.
    async fn run_until(&self, shutdown: &CancellationToken) {
        let ctx = &self.ctx;
        let bmcs = Bmcs::new(self.fleet.clone(), &ctx.client, self.access.clone());
        let machines = Machines::new(Arc::clone(ctx), bmcs, self.limits);
        let drive = self.machines.drive(CONCURRENCY, machines);
        let approve = self.certificates.drive(APPROVALS, Certificates(Arc::clone(ctx)));
        shutdown.run_until_cancelled(async { tokio::join!(drive, approve) }).await;
    }

    /// Follows what they are about, whether this process leads or not.
    fn watch(&self, site: Option<&str>) -> impl Future<Output = Result<(), Ended>> {
        let (machines, certificates) = (&self.machines.queue, &self.certificates.queue);
        self.ctx.view.watch(&self.ctx.client, site, machines, certificates)
    }
}

/// Learns what is in the cluster, forever: the key of tokens, and what machines need to join. Wakes the Machines by
/// `queue` when they may go on.
async fn learn(
    args: &Args,
    ctx: &Context,
    cluster_ca: Option<String>,
    queue: &Queue<String>,
) -> anyhow::Result<()> {
    let key = startup::key(args, &ctx.client);
    let key = key.provide(capability::Key::new, &ctx.key, || {});
    let source = startup::source(args, &ctx.client, cluster_ca);
    tokio::select! {
        () = cluster::follow(source, &ctx.cluster, || ctx.view.wake_all(queue)) => Ok(()),
        ended = key => match ended? {},
    }
}

fn access(args: &Args, leadership: Leadership) -> Access {
    Access {
        namespace: args.bmc_secret_namespace.clone(),
        plain_http: args.allow_plain_http_bmcs,
        leadership,
    }
}

/// What all parts share, as the flags say.
fn configured(ctx: Context, args: &Args, ek_roots: Option<&EkRoots>) -> Arc<Context> {
    Arc::new(Context {
        serve_url: args.serve_url(),
        ek_roots: ek_roots.map(EkRoots::subscribe),
        user_data_namespace: startup::user_data_namespace(args, &ctx.client),
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
