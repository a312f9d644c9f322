//! Composes the parts. Nothing is detached: whatever ends first ends the process.

use crate::{
    args::{Args, ByUuid, Controllers, OutsideWindow, Urls},
    blob_refs::ReferencedBlobs,
    config::{Configs, Recording},
    configuration::Configurations,
    context::Context,
    fetch_limit::{self, FetchLimit},
    fetches::Fetches,
    http::{Answer, AppState, DefaultUki, Delays, Loaders, PATIENCE, RefusalLog, router},
    metrics::{self, Cache},
    notices::LastNotices,
    pull_secret::RegistryLogins,
    secrets::Secrets,
    stored_boots::{self, Folder, Keeper, Restore, Written},
    view::View,
    windows::Windows,
    wiring::{self, Queues},
};
use anyhow::Context as _;
use axum::Router;
use jiff::Timestamp;
use kube::Client;
use metal_core::{
    boot::configuration::Modes,
    capability::{BOOT_KEY_SECRET, Key},
};
use metal_image::{Resolver, Store};
use metal_runtime::{
    Deferred, Relist,
    admin::Admin,
    client, election,
    health::Readiness,
    listener::{self, Limits, Port},
    metrics::Registry,
    queue::Queue,
    report::Reporters,
    shared_key::{self, SharedKey},
    tls::{self, Certificate, Https},
    work::Work,
};
use prometheus_client::metrics::{counter::Counter, family::Family};
use std::{convert::Infallible, future::pending, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const NAME: &str = "boot-operator";
/// The Lease of the leader; the same as ironcore's, so that the two never work on one cluster at a
/// time.
const LEASE: &str = "e9f0940b.ironcore.dev";

/// Runs the operator until `shutdown`.
///
/// # Errors
///
/// If it cannot start, or if a part ends that must not.
pub async fn run(args: Args, shutdown: CancellationToken) -> anyhow::Result<()> {
    let urls = args.urls()?;
    warn_of_risks(&args, &urls);
    client::install_crypto_provider();
    let downloads = CancellationToken::new();
    let (images, store) = images(&args, downloads.clone()).await?;
    let folder = kept_boots(&args)?;
    let ports = Ports::open(&args).await?;
    let certificate = ports.certificate();
    let admin = Admin::bind(&args.runtime.admin).await?;
    let client = client::connect(&args.runtime.client, NAME).await?;

    let (mut metrics, readiness) = (metrics::registry(certificate.as_ref()), Readiness::default());
    let leading = election::leading(&readiness, &mut metrics);
    let ctx = Arc::new(context(&args, &client, images, urls));
    ctx.view.register(&readiness, Timestamp::now());
    let reporters = Reporters::new(ctx.recorder.clone(), &mut metrics);
    let queues = queues(args.controllers, &reporters);
    let recording = Work::with(ctx.fetches.queue.clone(), reporters.of("fetches"));
    let recording = Arc::new(recording.forgiving());
    metrics.register_collector(Cache(store.clone()), metrics::of_cache());
    let operator = Operator { args, ctx, queues, store, downloads };
    let router = router(Arc::new(operator.state(metrics::answers(&mut metrics))));
    let is_silent = Deferred::default();
    let keep = operator.restore(folder, &mut metrics, is_silent.clone())?;

    let ctx = &operator.ctx;
    let record = recording.drive(4, Recording::new(ctx));
    let serve = operator.serve(ports, &router, &shutdown);
    let candidate = operator.args.runtime.election.candidate(&client, LEASE);
    let relist = Relist::default();
    let keys = operator.provide_key(&is_silent);
    let listed = async || ctx.view.listed().await;
    let work = async || operator.control(shutdown.clone()).await;
    let elected = relist.run_elected(candidate, &leading, &shutdown, listed, work);
    // After a shutdown both end on their own: the lease is released, and requests in progress are
    // completed.
    let both = async { tokio::join!(serve, elected) };
    let watch = || wiring::watch(&client, ctx, &operator.queues);
    let watch = relist.follow_until(&shutdown, || ctx.view.doubt(), watch);
    tokio::select! {
        () = admin.serve(readiness, metrics, CancellationToken::new()) => Ok(()),
        _ = both => Ok(()),
        ended = watch => Ok(ended?),
        () = record => Ok(()),
        () = keep.run() => Ok(()),
        ended = keys => match ended? {},
        never = tls::follow(certificate) => match never {},
        never = ctx.logins.follow(|| operator.queues.retry(&ctx.view)) => match never {},
    }
}

/// The flags, and what the parts share.
struct Operator {
    args: Args,
    ctx: Arc<Context>,
    queues: Queues,
    store: Store,
    /// Ends downloads.
    downloads: CancellationToken,
}

impl Operator {
    /// Serves machines until `shutdown`. Downloads continue until those who wait for them have been
    /// served.
    async fn serve(&self, ports: Ports, router: &Router, shutdown: &CancellationToken) {
        listener::serve_all(ports, router, Limits::MACHINES, shutdown).await;
        self.downloads.cancel();
        self.store.closed().await;
    }

    /// Runs the controllers until `shutdown`. A pass in progress is then dropped at its next await point:
    /// any write may be the last one.
    async fn control(&self, shutdown: CancellationToken) {
        let Self { ctx, queues, .. } = self;
        let concurrency = self.args.max_concurrent_reconciles;
        let configurations = Configurations(Arc::clone(ctx));
        let configurations = queues.configurations.drive(concurrency, configurations);
        let configs = queues.configs.drive(concurrency, Configs::new(ctx));
        let is_on = ctx.modes.pxe || ctx.modes.http;
        let configurations = async {
            if is_on {
                configurations.await;
            }
            pending::<()>().await;
        };
        tokio::select! {
            () = configurations => {}
            () = configs => {}
            () = shutdown.cancelled() => {}
        }
    }

    /// Provides the key for tokens, and has what contains tokens of another one made again.
    async fn provide_key(&self, is_silent: &Deferred<()>) -> Result<Infallible, shared_key::Error> {
        let (ctx, key) = (&self.ctx, self.shared_key());
        tokio::select! {
            ended = key.provide(Key::new, &ctx.key, || is_silent.set(())) => ended,
            never = ctx.key.follow(|| self.queues.renew(&ctx.view)) => match never {},
        }
    }

    /// The key for tokens, which all replicas share and which survives restarts.
    fn shared_key(&self) -> SharedKey {
        let client = self.ctx.client.clone();
        let file = self.args.ignition_key_file.clone();
        SharedKey {
            namespace: self.args.runtime.election.namespace(&client).to_owned(),
            client,
            name: BOOT_KEY_SECRET,
            manager: NAME,
            file: file.map(|path| ("--ignition-key-file", path)),
        }
    }

    /// The tasks that store boots, and serve stored ones.
    fn restore(
        &self,
        folder: Folder,
        metrics: &mut Registry,
        is_silent: Deferred<()>,
    ) -> anyhow::Result<Restore> {
        let Self { ctx, queues, .. } = self;
        let keeper = Keeper {
            view: Arc::clone(&ctx.view),
            secrets: Arc::clone(&ctx.secrets),
            key: ctx.key.clone(),
            folder,
            start: stored_boots::start_of_machine().context("the boot ID of this host")?,
            queue: queues.stored_boots.clone(),
            metrics: stored_boots::Metrics::register(metrics),
            written: Written::default(),
        };
        let blob_refs = Arc::clone(&queues.blob_refs);
        Ok(Restore { keeper: Arc::new(keeper), blob_refs, is_silent })
    }

    /// What the handlers of requests share.
    fn state(&self, answers: Family<Answer, Counter>) -> AppState {
        let Self { args, ctx, .. } = self;
        let default_uki = match (&args.default_httpboot_oci_image, &args.default_httpboot_uki_url) {
            (Some(image), _) => DefaultUki::Image(image.clone()),
            (None, Some(url)) => DefaultUki::Url(url.clone()),
            (None, None) => DefaultUki::None,
        };
        AppState {
            view: Arc::clone(&ctx.view),
            secrets: Arc::clone(&ctx.secrets),
            images: Arc::clone(&ctx.images),
            logins: Arc::clone(&ctx.logins),
            store: self.store.clone(),
            blob_refs: Arc::clone(&self.queues.blob_refs),
            fetches: Arc::clone(&ctx.fetches),
            fetch_limit: FetchLimit::new(
                fetch_limit::share(args.ignition_fetches, args.replicas),
                args.ignition_window,
            ),
            key: ctx.key.clone(),
            window: args.ignition_window,
            by_uuid: args.ignition_by_uuid,
            outside: args.outside_boot_window,
            addresses: args.machine_addresses,
            patience: PATIENCE,
            delays: Delays::default(),
            loaders: Loaders::default(),
            told: RefusalLog::default(),
            windows: Windows::default(),
            urls: ctx.urls.clone(),
            default_uki,
            architecture: args.architecture.clone(),
            trusted_proxies: args.trusted_proxies.clone(),
            dhcp_servers: args.dhcp_servers.clone(),
            answers,
        }
    }
}

/// Where machines reach this process.
struct Ports {
    plain: Vec<TcpListener>,
    https: Option<Https>,
}

impl Ports {
    async fn open(args: &Args) -> anyhow::Result<Self> {
        let boot = args.boot_server_address.listen_by("--boot-server-address").await?;
        let image = &args.image_proxy_server_address;
        let image = image.listen_by("--image-proxy-server-address").await?;
        let plain = [boot, image].into_iter().flatten().collect();
        Ok(Self { plain, https: args.https.open().await? })
    }

    /// The certificate of the one with TLS.
    fn certificate(&self) -> Option<Arc<Certificate>> {
        self.https.as_ref().map(|https| Arc::clone(&https.certificate))
    }
}

impl IntoIterator for Ports {
    type Item = Port;
    type IntoIter = std::vec::IntoIter<Port>;

    fn into_iter(self) -> Self::IntoIter {
        let plain = self.plain.into_iter().map(Port::from);
        plain.chain(self.https.map(Port::from)).collect::<Vec<_>>().into_iter()
    }
}

fn context(args: &Args, client: &Client, images: Arc<Resolver>, urls: Urls) -> Context {
    let namespace = args.runtime.election.namespace(client);
    let secret = args.image_pull_secret.as_deref();
    let logins = secret.map(|name| RegistryLogins::of(client.clone(), namespace, name));
    Context {
        client: client.clone(),
        view: Arc::new(View::default()),
        recorder: args.runtime.election.recorder(client, NAME),
        secrets: Arc::new(Secrets::new(client.clone())),
        notices: LastNotices::default(),
        images,
        logins: Arc::new(logins.unwrap_or_default()),
        fetches: Arc::new(Fetches::default()),
        architecture: args.architecture.clone(),
        modes: Modes { pxe: args.controllers.pxe, http: args.controllers.http },
        addresses: args.machine_addresses,
        urls,
        key: Deferred::default(),
    }
}

/// The folder for stored boots: next to the layers, in the folder that is ours alone.
fn kept_boots(args: &Args) -> anyhow::Result<Folder> {
    let path = args.cache_dir().join("boots");
    Folder::open(&path).with_context(|| format!("--image-cache-dir: {}", path.display()))
}

fn queues(controllers: Controllers, reporters: &Reporters) -> Queues {
    let configurations = Work::new(reporters.of("serverbootconfiguration"));
    Queues {
        configurations: Arc::new(configurations.forgiving()),
        configs: Arc::new(Work::new(reporters.of("bootconfig")).forgiving()),
        ipxe: controllers.ipxe_config,
        http: controllers.http_config,
        blob_refs: Arc::new(ReferencedBlobs::default()),
        stored_boots: Queue::default(),
    }
}

async fn images(
    args: &Args,
    shutdown: CancellationToken,
) -> anyhow::Result<(Arc<Resolver>, Store)> {
    let allowed = args.allowed_registries()?;
    let registries = Arc::new(args.registry.registries().await?);
    let dir = args.cache_dir();
    let store = Store::open_dir(&dir, args.image_cache_size, Arc::clone(&registries), shutdown);
    let store = store.await.with_context(|| format!("--image-cache-dir {}", dir.display()))?;
    Ok((Arc::new(Resolver::new(registries, allowed)), store))
}

fn warn_of_risks(args: &Args, urls: &Urls) {
    if args.ignition_by_uuid == ByUuid::Always {
        tracing::warn!(
            "--ignition-by-uuid=always: anyone who knows the UUID of a machine can read its \
             secrets during its boot window"
        );
    }
    if args.outside_boot_window == OutsideWindow::Answer {
        tracing::warn!(
            "--outside-boot-window=answer: anyone who knows the UUID of a machine can get a token \
             for its secrets at any time"
        );
    }
    if args.default_httpboot_uki_url.is_some() {
        tracing::warn!(
            "--default-httpboot-uki-url is deprecated: use --default-httpboot-oci-image"
        );
    }
    if !(args.controllers.pxe || args.controllers.http) {
        tracing::warn!("--controllers: no ServerBootConfiguration will become Ready");
    }
    if urls.service.is_none() {
        tracing::warn!("--ipxe-service-url is not set: /ipxe responds with 503");
    }
}
