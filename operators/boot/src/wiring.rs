//! Which change of which kind wakes which controller.

use crate::{
    args::Addresses,
    config::{BootConfig, owner},
    context::{ConfigRef, Context, Kind, Named, named},
    kept::{http_blobs, ipxe_blobs},
    live::{BlobRef, Live},
    view::{ConfigKey, ConfigurationKey},
};
use futures::StreamExt;
use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
    core::v1::Secret,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
    core::PartialObjectMeta,
    runtime::watcher::Event,
};
use metal_api::{BootState, HttpBootConfig, IpxeBootConfig, Server, ServerBootConfiguration};
use metal_core::boot::{
    config::{Fetched, is_news},
    configuration::{is_idle, network_identifiers},
};
use metal_runtime::{
    follow,
    index::{Change, Ended},
    jittered,
    queue::Queue,
    watch_in_pages,
    work::Work,
};
use std::{sync::Arc, time::Duration};
use tokio::time::{sleep, timeout};

/// How often Secrets are asked for that boots wait for, where they are not watched.
const UNWATCHED: Duration = Duration::from_secs(10);

/// How long the API server may take to say whether we may watch them.
const ANSWER: Duration = Duration::from_secs(10);

/// The queues of the controllers, and what follows from the boot configs besides.
pub(crate) struct Queues {
    /// ServerBootConfigurations.
    pub(crate) configurations: Arc<Work<Named>>,
    /// Boot configs of both kinds.
    pub(crate) configs: Arc<Work<ConfigRef>>,
    /// `IPXEBootConfig`s are looked after.
    pub(crate) ipxe: bool,
    /// `HTTPBootConfig`s are looked after.
    pub(crate) http: bool,
    /// Blobs that boot configs name.
    pub(crate) live: Arc<Live<ConfigRef>>,
    /// Servers whose boot is to be kept, or not any more.
    pub(crate) kept: Queue<String>,
}

/// Follows every kind, and wakes whoever depends on a change.
///
/// # Errors
///
/// When a watch ends, which none does by itself.
pub(crate) async fn watch(client: &Client, ctx: &Context, queues: &Queues) -> Result<(), Ended> {
    let view = &ctx.view;
    tokio::try_join!(
        follow(client, &view.configurations, |change| configuration(queues, &change)),
        follow(client, &view.ipxe, |change| ipxe(ctx, queues, &change)),
        follow(client, &view.http, |change| http(ctx, queues, &change)),
        follow(client, &view.servers, |change| server(ctx, queues, &change)),
        secrets(client, ctx, queues),
        leases(client, ctx),
    )
    .map(drop)
}

/// Follows the leases, where they count. Nobody is woken by them: they are looked at when a machine
/// asks.
async fn leases(client: &Client, ctx: &Context) -> Result<(), Ended> {
    match ctx.addresses {
        Addresses::Leased => match ctx.view.leases.follow(client).await {},
        Addresses::Any => {
            ctx.view.leases.settle();
            std::future::pending().await
        }
    }
}

fn configuration(queues: &Queues, change: &Change<'_, ServerBootConfiguration>) {
    if let Change::Applied { new: it, .. } | Change::Removed(it) = change {
        queues.kept.add(it.spec.server_ref.name.clone());
    }
    match change {
        Change::Applied { new, .. } => queues.configurations.queue.add(named(&***new)),
        Change::Removed(_) => {}
        Change::Unreadable { meta, error } => unreadable("ServerBootConfiguration", meta, error),
    }
}

fn ipxe(ctx: &Context, queues: &Queues, change: &Change<'_, IpxeBootConfig>) {
    config(ctx, queues, Kind::Ipxe, change, ipxe_blobs);
}

fn http(ctx: &Context, queues: &Queues, change: &Change<'_, HttpBootConfig>) {
    config(ctx, queues, Kind::Http, change, http_blobs);
}

fn config<K: BootConfig>(
    ctx: &Context,
    queues: &Queues,
    kind: Kind,
    change: &Change<'_, K>,
    urls: fn(&K) -> Vec<BlobRef>,
) {
    if let Change::Applied { new: config, .. } | Change::Removed(config) = change {
        boots_of(ctx, queues, &***config);
    }
    match change {
        Change::Applied { old, new } => {
            let reference = ConfigRef::new(kind, named(&***new));
            if old.is_none_or(|old| is_wish(old.meta(), new.meta())) {
                queues.live.set(reference.clone(), urls(new));
                wake_configuration(queues, new.meta());
            } else if old.is_some_and(|old| fetched(&**old) != fetched(&***new)) {
                wake_configuration(queues, new.meta());
            }
            if queues.cares_for(kind) {
                queues.configs.queue.add(reference);
            }
        }
        Change::Removed(old) => {
            queues.live.set(ConfigRef::new(kind, named(&***old)), vec![]);
            wake_configuration(queues, old.meta());
        }
        Change::Unreadable { meta, error } => {
            let name = (meta.namespace.clone(), meta.name.clone());
            let name = (name.0.unwrap_or_default(), name.1.unwrap_or_default());
            queues.live.set(ConfigRef::new(kind, name), vec![]);
            unreadable(&K::kind(&()), meta, error);
        }
    }
}

/// The boots that a boot config is a part of.
fn boots_of<K: BootConfig>(ctx: &Context, queues: &Queues, config: &K) {
    let namespace = config.meta().namespace.as_deref();
    let configuration = owner(config.meta());
    let configuration =
        configuration.and_then(|(name, _)| ctx.view.configurations.named(namespace, name));
    if let Some(configuration) = configuration {
        queues.kept.add(configuration.spec.server_ref.name.clone());
    }
    for server in ctx.view.servers_of(config.uuid()) {
        queues.kept.add(server.metadata.name.clone().unwrap_or_default());
    }
}

/// What was handed out of a boot config; its configuration shows it, too.
fn fetched<K: BootConfig>(config: &K) -> [bool; 2] {
    [Fetched { script: true, ignition: false }, Fetched { script: false, ignition: true }]
        .map(|part| !is_news(config.conditions(), part))
}

/// The configuration of the same name, whether it owns the object already or is waiting for its
/// name.
fn wake_configuration(queues: &Queues, meta: &ObjectMeta) {
    let namespace = meta.namespace.clone().unwrap_or_default();
    let name = meta.name.clone().unwrap_or_default();
    queues.configurations.queue.add((namespace.clone(), name.clone()));
    if let Some((owner, _)) = owner(meta).filter(|(owner, _)| *owner != name) {
        queues.configurations.queue.add((namespace, owner.to_owned()));
    }
}

fn server(ctx: &Context, queues: &Queues, change: &Change<'_, Server>) {
    window(queues, change);
    let server = match change {
        Change::Applied { old: Some(old), new } => {
            let facts = |server: &Server| {
                (server.spec.effective_uuid(), network_identifiers(server), is_idle(server))
            };
            if facts(old) == facts(new) {
                return;
            }
            new
        }
        Change::Applied { old: None, new: server } | Change::Removed(server) => server,
        Change::Unreadable { meta, error } => return unreadable("Server", meta, error),
    };
    let name = server.metadata.name.clone().unwrap_or_default();
    for configuration in ctx.view.configurations.get(&ConfigurationKey::Server(name)) {
        queues.configurations.queue.add(named(&*configuration));
    }
}

/// The boot of a server that has a window, or had one.
fn window(queues: &Queues, change: &Change<'_, Server>) {
    let has = |server: &Server| server.status.as_ref().is_some_and(|it| it.boot_window.is_some());
    let name = match change {
        Change::Applied { old, new } if has(new) || old.is_none_or(|old| has(old)) => {
            new.metadata.name.clone()
        }
        Change::Applied { .. } => None,
        Change::Removed(server) => server.metadata.name.clone(),
        Change::Unreadable { meta, .. } => meta.name.clone(),
    };
    if let Some(name) = name {
        queues.kept.add(name);
    }
}

/// Follows the metadata of Secrets, where that is allowed: their contents are read when they are
/// needed. Kubernetes has no right for metadata alone, so where nobody wants this process to list
/// Secrets, it asks now and then for those that boots wait for.
async fn secrets(client: &Client, ctx: &Context, queues: &Queues) -> Result<(), Ended> {
    loop {
        let may = timeout(ANSWER, may_watch(client)).await;
        if matches!(may, Ok(Ok(true))) {
            break;
        }
        let is_refused = matches!(may, Ok(Ok(false)));
        if ctx.secrets.set_watched(false) && is_refused {
            tracing::info!(every = ?UNWATCHED, "Secrets are not watched, and read when boots wait for them");
        }
        sleep(jittered(UNWATCHED)).await;
        look_again(ctx, queues);
    }
    ctx.secrets.set_watched(true);
    let api = Api::<PartialObjectMeta<Secret>>::all(client.clone());
    let mut events = std::pin::pin!(watch_in_pages(api));
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Delete(secret)) => secret_changed(ctx, queues, &named(&secret), None),
            Ok(Event::Apply(secret) | Event::InitApply(secret)) => {
                let is_gone = secret.metadata.deletion_timestamp.is_some();
                let version = secret.metadata.resource_version.as_deref();
                secret_changed(ctx, queues, &named(&secret), version.filter(|_| !is_gone));
            }
            Ok(Event::Init | Event::InitDone) => {}
            Err(error) => tracing::warn!(%error, kind = "Secret", "watch interrupted"),
        }
    }
    Err(Ended)
}

/// Whether Secrets may be listed and watched. Who asks that is refused nothing.
async fn may_watch(client: &Client) -> Result<bool, kube::Error> {
    let reviews = Api::<SelfSubjectAccessReview>::all(client.clone());
    for verb in ["list", "watch"] {
        let (verb, resource) = (Some(verb.to_owned()), Some("secrets".to_owned()));
        let attributes = ResourceAttributes { verb, resource, ..ResourceAttributes::default() };
        let resource_attributes = Some(attributes);
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes,
            ..SelfSubjectAccessReviewSpec::default()
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let review = reviews.create(&PostParams::default(), &review).await?;
        if !review.status.is_some_and(|status| status.allowed) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whoever may wait for a Secret looks again, and so does who keeps those of boots under way.
fn look_again(ctx: &Context, queues: &Queues) {
    let is_ready = |state: Option<&BootState>| state == Some(&BootState::Ready);
    for configuration in ctx.view.configurations.all() {
        let state = configuration.status.as_ref().and_then(|status| status.state.as_ref());
        if configuration.spec.ignition_secret_ref.is_some() && !is_ready(state) {
            queues.configurations.queue.add(named(&*configuration));
        }
    }
    for config in ctx.view.ipxe.all().iter().filter(|it| queues.ipxe && !is_ready(it.state())) {
        queues.configs.queue.add(ConfigRef::new(Kind::Ipxe, named(&**config)));
    }
    for config in ctx.view.http.all().iter().filter(|it| queues.http && !is_ready(it.state())) {
        queues.configs.queue.add(ConfigRef::new(Kind::Http, named(&**config)));
    }
    for server in ctx.view.servers.all() {
        if server.status.as_ref().is_some_and(|status| status.boot_window.is_some()) {
            queues.kept.add(named(&*server).1);
        }
    }
}

/// Whoever needs a Secret looks again; what was read of it counts if that is this version.
fn secret_changed(ctx: &Context, queues: &Queues, secret: &Named, version: Option<&str>) {
    ctx.secrets.forget_unless(secret, version);
    let (namespace, name) = secret.clone();
    let key = ConfigurationKey::Secret(namespace.clone(), name.clone());
    for configuration in ctx.view.configurations.get(&key) {
        queues.configurations.queue.add(named(&*configuration));
    }
    let key = ConfigKey::Secret(namespace, name);
    for config in ctx.view.ipxe.get(&key) {
        boots_of(ctx, queues, &*config);
        if queues.ipxe {
            queues.configs.queue.add(ConfigRef::new(Kind::Ipxe, named(&*config)));
        }
    }
    for config in ctx.view.http.get(&key) {
        boots_of(ctx, queues, &*config);
        if queues.http {
            queues.configs.queue.add(ConfigRef::new(Kind::Http, named(&*config)));
        }
    }
}

impl Queues {
    fn cares_for(&self, kind: Kind) -> bool {
        match kind {
            Kind::Ipxe => self.ipxe,
            Kind::Http => self.http,
        }
    }
}

/// Whether anything but the status of an object changed.
fn is_wish(old: &ObjectMeta, new: &ObjectMeta) -> bool {
    old.generation != new.generation
        || old.owner_references != new.owner_references
        || old.deletion_timestamp != new.deletion_timestamp
        || old.uid != new.uid
}

fn unreadable(kind: &str, meta: &ObjectMeta, error: &str) {
    let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
    tracing::warn!(kind, namespace, name, error, "object does not parse; it is left alone");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{
        Cluster, Objects, configuration as boot_configuration, context, resolver,
    };
    use metal_runtime::report::Reporter;

    #[tokio::test(start_paused = true)]
    async fn where_secrets_may_not_be_listed_whoever_waits_for_one_looks_again_and_nobody_else() {
        let cluster = Cluster::default();
        let ctx = context(&cluster, resolver(&["ghcr.io"]));
        let mut objects = Objects::ready_for_ipxe();
        objects.configurations.push(boot_configuration("waits", Some(BootState::Error)));
        objects.fill(&ctx.view).await;
        let queues = queues(&ctx);
        let (client, watching) = (cluster.client(), UNWATCHED * 3);
        assert!(timeout(watching, secrets(&client, &ctx, &queues)).await.is_err());
        assert_eq!(queues.configurations.queue.len(), 1);
        assert_eq!(queues.configs.queue.len(), 1, "a boot config without a state");
        assert_eq!(queues.kept.len(), 1, "the server in its boot window");
        assert_eq!(cluster.reads(), 0, "nobody has tried to list them");
        let asked = cluster.take();
        assert!((2..=5).contains(&asked.len()), "{asked:?}");
        assert!(asked.iter().all(|it| it.ends_with("/selfsubjectaccessreviews")), "{asked:?}");
    }

    fn queues(ctx: &Context) -> Queues {
        let reporter = |controller| Reporter {
            controller,
            recorder: ctx.recorder.clone(),
            passes: prometheus_client::metrics::family::Family::default(),
        };
        Queues {
            configurations: Arc::new(Work::new(reporter("configurations"))),
            configs: Arc::new(Work::new(reporter("configs"))),
            ipxe: true,
            http: true,
            live: Arc::default(),
            kept: Queue::default(),
        }
    }
}
