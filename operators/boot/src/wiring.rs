//! Which change of which kind wakes which controller.

use crate::{
    Work,
    config::owner,
    context::{ConfigRef, Context, Kind, Named, named},
    live::{Live, blobs},
    view::{ConfigKey, ConfigurationKey, prune},
};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, Resource, api::ObjectMeta, core::PartialObjectMeta, runtime::watcher::Event,
};
use metal_api::{HttpBootConfig, IpxeBootConfig, Server, ServerBootConfiguration};
use metal_core::boot::configuration::{is_idle, network_identifiers};
use metal_runtime::index::{Change, Ended};
use metal_runtime::{follow, watch_in_pages};
use std::sync::Arc;

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
}

/// Follows every kind, and wakes whoever depends on a change.
///
/// # Errors
///
/// When a watch ends, which none does by itself.
pub(crate) async fn watch(client: &Client, ctx: &Context, queues: &Queues) -> Result<(), Ended> {
    let view = &ctx.view;
    tokio::try_join!(
        follow(client, &view.configurations, |_| {}, |change| configuration(queues, &change)),
        follow(client, &view.ipxe, |_| {}, |change| ipxe(queues, &change)),
        follow(client, &view.http, |_| {}, |change| http(queues, &change)),
        follow(client, &view.servers, prune, |change| server(ctx, queues, &change)),
        secrets(client, ctx, queues),
    )
    .map(drop)
}

fn configuration(queues: &Queues, change: &Change<'_, ServerBootConfiguration>) {
    match change {
        Change::Applied { new, .. } => queues.configurations.queue.add(named(&***new)),
        Change::Removed(_) => {}
        Change::Unreadable { meta, error } => unreadable("ServerBootConfiguration", meta, error),
    }
}

fn ipxe(queues: &Queues, change: &Change<'_, IpxeBootConfig>) {
    let urls = |config: &IpxeBootConfig| {
        let spec = &config.spec;
        let urls = [Some(&spec.kernel_url), Some(&spec.initrd_url), spec.squashfs_url.as_ref()];
        blobs(urls.into_iter().flatten().map(String::as_str))
    };
    config(queues, Kind::Ipxe, change, urls);
}

fn http(queues: &Queues, change: &Change<'_, HttpBootConfig>) {
    let urls = |config: &HttpBootConfig| blobs(config.spec.uki_url.as_deref());
    config(queues, Kind::Http, change, urls);
}

fn config<K: Resource<DynamicType = ()>>(
    queues: &Queues,
    kind: Kind,
    change: &Change<'_, K>,
    urls: impl Fn(&K) -> Vec<crate::live::BlobRef>,
) {
    match change {
        Change::Applied { old, new } => {
            let reference = ConfigRef::new(kind, named(&***new));
            if old.is_none_or(|old| is_wish(old.meta(), new.meta())) {
                queues.live.set(reference.clone(), urls(new));
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

/// Follows the metadata of Secrets: their contents are read when they are needed.
async fn secrets(client: &Client, ctx: &Context, queues: &Queues) -> Result<(), Ended> {
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

/// Whoever needs a Secret looks again; what was read of it counts if that is this version.
fn secret_changed(ctx: &Context, queues: &Queues, secret: &Named, version: Option<&str>) {
    ctx.secrets.forget_unless(secret, version);
    let (namespace, name) = secret.clone();
    let key = ConfigurationKey::Secret(namespace.clone(), name.clone());
    for configuration in ctx.view.configurations.get(&key) {
        queues.configurations.queue.add(named(&*configuration));
    }
    let key = ConfigKey::Secret(namespace, name);
    if queues.ipxe {
        for config in ctx.view.ipxe.get(&key) {
            queues.configs.queue.add(ConfigRef::new(Kind::Ipxe, named(&*config)));
        }
    }
    if queues.http {
        for config in ctx.view.http.get(&key) {
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
