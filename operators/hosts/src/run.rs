//! Composes the parts. Nothing is detached: whatever ends first ends the process.

use crate::{
    allowance::Allowances,
    args::Args,
    clock::Clock,
    context::{Context, READERS, WAITING},
    fresh_tokens::FreshTokens,
    host::Hosts,
    images::Images,
    memory_permits::MemoryPermits,
    metrics::{self, Answers},
    notices::Notices,
    polls::Polls,
    ports::Ports,
    pull_secret_looks::PullSecrets,
    refusals::Refusals,
    templates::Templates,
    token::Tokens,
    view::{Named, View},
};
use kube::Client;
use metal_core::{boot_token::login::of_server, capability};
use metal_runtime::{
    Deferred, LogLimit, Relist, admin::Admin, client, election, health::Readiness,
    report::Reporters, shared_key::SharedKey, tls, work::Work,
};
use std::sync::Arc;
use tokio::sync::Semaphore;
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
    args.check_installer()?;
    let ports = Ports::open(&args).await?;
    let certificate = ports.certificate();
    let admin = Admin::bind(&args.runtime.admin).await?;
    let client = client::connect(&args.runtime.client, NAME).await?;
    // Downloads continue until those who wait for them have been served.
    let downloads = CancellationToken::new();
    let images = Images::open(&args, downloads.clone()).await?;
    let ctx = context(&args, client.clone(), images);
    let (mut registry, readiness) = (metrics::registry(&ctx.answers), Readiness::default());
    ctx.view.register(&readiness);
    let leading = election::leading(&readiness, &mut registry);
    tls::expiry(&mut registry, certificate.as_ref());
    let recorder = args.runtime.election.recorder(&client, NAME);
    let reporters = Reporters::new(recorder.clone(), &mut registry);
    let tokens = Arc::new(of_tokens(&reporters));
    let hosts = Arc::new(Work::new(reporters.of("host")).forgiving());

    let relist = Relist::default();
    let candidate = args.runtime.election.candidate(&client, LEASE);
    let lead = async || {
        let most = args.max_concurrent_reconciles;
        let token = tokens.drive(most, Tokens(Arc::clone(&ctx)));
        let host = hosts.drive(most, Hosts(Arc::clone(&ctx)));
        shutdown.run_until_cancelled(async { tokio::join!(token, host) }).await;
    };
    let listed = async || ctx.view.listed().await;
    let elected = relist.run_elected(candidate, &leading, &shutdown, listed, lead);
    let serve = async {
        ports.serve(&ctx, &shutdown).await;
        downloads.cancel();
        Images::closed(ctx.images.as_ref()).await;
    };
    let all = async { tokio::join!(serve, elected).0 };
    let key = key(&args, &client);
    let key = key.provide(capability::Key::new, &ctx.key, || {});
    let watch = || ctx.view.watch(&client, &tokens.queue, &hosts.queue);
    let watch = relist.follow_until(&shutdown, || ctx.view.doubt(), watch);
    tokio::select! {
        () = admin.serve(readiness, registry, CancellationToken::new()) => Ok(()),
        () = all => Ok(()),
        () = ctx.notices.publish(&recorder) => Ok(()),
        never = tls::follow(certificate) => match never {},
        never = ctx.clock.follow(&client) => match never {},
        ended = key => match ended? {},
        ended = watch => Ok(ended?),
    }
}

/// The work on BootTokens, whose status says why a Host is not there: recording that is no success.
pub(crate) fn of_tokens(reporters: &Reporters) -> Work<Named> {
    Work::new(reporters.of("boottoken"))
}

/// What every part shares.
pub(crate) fn context(args: &Args, client: Client, images: Option<Images>) -> Arc<Context> {
    let namespace = args.runtime.election.namespace(&client);
    let secret = args.installer_pull_secret.as_deref();
    let installer_secret = secret.map(|secret| of_server(namespace, secret));
    Arc::new(Context {
        client,
        view: Arc::new(View::default()),
        notices: Notices::default(),
        refusals: Refusals::default(),
        allowances: Allowances::default(),
        polls: Polls::default(),
        waiting: Semaphore::new(WAITING),
        readers: Semaphore::new(READERS),
        places: MemoryPermits::default(),
        live: FreshTokens::default(),
        pull_secrets: PullSecrets::default(),
        clock: Clock::default(),
        told: LogLimit::default(),
        answers: Answers::default(),
        key: Deferred::default(),
        service_url: args.service_url.clone(),
        trusted_proxies: args.trusted_proxies.clone(),
        templates: Templates::new(args.templates_dir.clone()),
        installer: args.installer(),
        installer_secret,
        images,
    })
}

/// Where the key of capabilities is, which every replica and every start shares.
fn key(args: &Args, client: &Client) -> SharedKey {
    SharedKey {
        client: client.clone(),
        namespace: args.runtime.election.namespace(client).to_owned(),
        name: KEY_SECRET,
        manager: NAME,
        file: None,
    }
}
