//! Composes the parts. Nothing is detached: whatever ends first ends the process.

use crate::{
    allowance::Allowances,
    args::{Args, Contradiction},
    context::{Context, READERS},
    host::Hosts,
    http::router,
    images::Images,
    metrics::{self, Answers},
    notices::Notices,
    refusals::Refusals,
    templates::Templates,
    token::Tokens,
    view::View,
};
use anyhow::Context as _;
use axum::Router;
use kube::{
    Client,
    runtime::events::{Recorder, Reporter as Source},
};
use metal_core::capability;
use metal_runtime::{
    Deferred, LogLimit, Relist,
    admin::Admin,
    client,
    elect::run_elected,
    health::Readiness,
    index::Ended,
    listener::{self, Limits},
    report::{self, Reporter},
    shared_key::SharedKey,
    tls::{self, Https},
    work::Work,
};
use std::{future::pending, sync::Arc};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

const NAME: &str = "hosts";
/// The Lease of the leader.
const LEASE: &str = "hosts.bloomery.dev";
/// Secret with the key of capabilities, in the namespace of this server.
const KEY_SECRET: &str = "hosts-key";

/// Serves until `shutdown`.
///
/// # Errors
///
/// If it cannot start, or if a part ends that must not.
pub async fn run(args: Args, shutdown: CancellationToken) -> anyhow::Result<()> {
    client::install_crypto_provider();
    let files = (args.https_certificate_file.as_deref(), args.https_key_file.as_deref());
    let https = Https::open(&args.https_server_address, files.0, files.1).await?;
    let certificate = https.as_ref().map(|https| Arc::clone(&https.certificate));
    let http = plain(&args).await?;
    if https.is_none() && http.is_none() {
        return Err(Contradiction::NoListener.into());
    }
    let admin = Admin::bind(&args.runtime.admin).await?;
    let client = client::connect(&args.runtime.client, NAME).await?;
    // Downloads continue until those who wait for them have been served.
    let downloads = CancellationToken::new();
    let images = Images::open(&args, downloads.clone()).await?;
    let ctx = context(&args, client.clone(), images);
    let (mut registry, readiness) = (metrics::registry(&ctx.answers), Readiness::default());
    ctx.view.register(&readiness);
    let leading = readiness.note("controllers", "the lease");
    let recorder = recorder(&args, &client);
    let passes = report::passes(&mut registry);
    let reporter =
        |controller| Reporter { controller, recorder: recorder.clone(), passes: passes.clone() };
    let tokens = Arc::new(Work::new(reporter("boottoken")).forgiving());
    let hosts = Arc::new(Work::new(reporter("host")).forgiving());

    let relist = Relist::default();
    let candidate = args.runtime.election.candidate(&client, LEASE);
    let is_elected = candidate.is_some();
    let lead = async || {
        if is_elected && !relist.before_term(async || ctx.view.listed().await, &shutdown).await {
            return;
        }
        let most = args.max_concurrent_reconciles;
        let token = tokens.drive(most, Tokens(Arc::clone(&ctx)));
        let host = hosts.drive(most, Hosts(Arc::clone(&ctx)));
        shutdown.run_until_cancelled(async { tokio::join!(token, host) }).await;
    };
    let elected = run_elected(candidate, &leading, &shutdown, lead);
    let serve = async {
        serve(http, https, router(Arc::clone(&ctx)), &shutdown).await;
        downloads.cancel();
        if let Some(images) = &ctx.images {
            images.closed().await;
        }
    };
    let all = async { tokio::join!(serve, elected).0 };
    let key = key(&args, &client);
    let key = key.provide(capability::Key::new, &ctx.key, || {});
    let watch =
        relist.follow(|| ctx.view.doubt(), || ctx.view.watch(&client, &tokens.queue, &hosts.queue));
    tokio::select! {
        () = admin.serve(readiness, registry, CancellationToken::new()) => Ok(()),
        () = all => Ok(()),
        () = ctx.notices.publish(&recorder) => Ok(()),
        never = tls::follow(certificate) => match never {},
        ended = key => match ended? {},
        ended = until(&shutdown, watch) => Ok(ended?),
    }
}

/// Watches until `shutdown`; after that others say when it is over.
async fn until(
    shutdown: &CancellationToken,
    watch: impl Future<Output = Result<(), Ended>>,
) -> Result<(), Ended> {
    match shutdown.run_until_cancelled(watch).await {
        Some(ended) => ended,
        None => pending().await,
    }
}

async fn serve(
    http: Option<TcpListener>,
    https: Option<Https>,
    router: Router,
    shutdown: &CancellationToken,
) {
    let plain = async {
        if let Some(listener) = http {
            let (router, shutdown) = (router.clone(), shutdown.clone());
            listener::serve(listener, None, router, Limits::MACHINES, shutdown).await;
        }
    };
    let secure = async {
        if let Some(Https { listener, acceptor, .. }) = https {
            let (router, shutdown) = (router.clone(), shutdown.clone());
            listener::serve(listener, Some(acceptor), router, Limits::MACHINES, shutdown).await;
        }
    };
    tokio::join!(plain, secure);
}

/// The listener without TLS, if there is one.
async fn plain(args: &Args) -> anyhow::Result<Option<TcpListener>> {
    let address = &args.http_server_address;
    let listener = address.listen().await;
    let listener = listener.with_context(|| format!("--http-server-address={address}"))?;
    if let Some(address) = listener.as_ref().and_then(|it| it.local_addr().ok()) {
        tracing::info!(%address, flag = "--http-server-address", "listening");
    }
    if args.service_url.starts_with("http://") {
        tracing::warn!("--service-url is plain HTTP: whoever is on the way can become the host");
    }
    Ok(listener)
}

/// What every part shares.
pub(crate) fn context(args: &Args, client: Client, images: Option<Images>) -> Arc<Context> {
    Arc::new(Context {
        client,
        view: Arc::new(View::default()),
        notices: Notices::default(),
        refusals: Refusals::default(),
        allowances: Allowances::default(),
        readers: Semaphore::new(READERS),
        told: LogLimit::default(),
        answers: Answers::default(),
        key: Deferred::default(),
        service_url: args.service_url.clone(),
        trusted_proxies: args.trusted_proxies.clone(),
        templates: Templates::new(args.templates_dir.clone()),
        installer: args.installer(),
        images,
    })
}

/// Where the key of capabilities is, which every replica and every start shares.
fn key(args: &Args, client: &Client) -> SharedKey {
    let namespace = args.runtime.election.leader_elect_namespace.as_deref();
    SharedKey {
        client: client.clone(),
        namespace: namespace.unwrap_or_else(|| client.default_namespace()).to_owned(),
        name: KEY_SECRET,
        manager: NAME,
        file: None,
    }
}

fn recorder(args: &Args, client: &Client) -> Recorder {
    let instance = Some(args.runtime.election.identity().into_owned());
    Recorder::new(client.clone(), Source { controller: NAME.to_owned(), instance })
}
