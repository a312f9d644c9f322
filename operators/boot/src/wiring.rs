//! Watches every kind; `wakes` determines what is woken by which change.

use crate::{
    args::Addresses,
    blob_refs::ReferencedBlobs,
    config::BootConfig,
    config_ref::{ConfigRef, Kind, Named, named},
    context::Context,
    secret_watch,
    view::View,
    wakes::{self, WakeTarget},
};
use kube::{Client, Resource};
use metal_api::BootState;
use metal_runtime::{
    index::{Change, Ended},
    queue::Queue,
    wiring::{self, Queues as _, Row},
    work::Work,
};
use std::sync::Arc;

/// The queues of the controllers, and other consequences of boot configs.
pub(crate) struct Queues {
    /// ServerBootConfigurations.
    pub(crate) configurations: Arc<Work<Named>>,
    /// Boot configs of both kinds.
    pub(crate) configs: Arc<Work<ConfigRef>>,
    /// Whether `IPXEBootConfig`s are enabled.
    pub(crate) ipxe: bool,
    /// Whether `HTTPBootConfig`s are enabled.
    pub(crate) http: bool,
    /// Blobs that boot configs refer to.
    pub(crate) blob_refs: Arc<ReferencedBlobs<ConfigRef>>,
    /// Servers whose boot has to be stored, or removed.
    pub(crate) stored_boots: Queue<String>,
}

impl wiring::Queues for Queues {
    type WakeTarget = WakeTarget;

    fn wake(&self, woken: WakeTarget) {
        match woken {
            WakeTarget::Configuration(name) => self.configurations.queue.add(name),
            WakeTarget::Config(config) if self.cares_for(config.kind) => {
                self.configs.queue.add(config);
            }
            WakeTarget::Config(_) => {}
            WakeTarget::StoredBoot(server) => self.stored_boots.add(server),
        }
    }
}

impl Queues {
    /// There is another key: what boot configurations have of the one before is to be made again.
    pub(crate) fn renew(&self, view: &View) {
        for configuration in view.configurations.all() {
            self.configurations.queue.add(named(&*configuration));
        }
    }

    /// There are other logins for registries: what is not ready is tried again with them.
    pub(crate) fn retry(&self, view: &View) {
        for configuration in view.configurations.all() {
            let state = configuration.status.as_ref().and_then(|status| status.state.as_ref());
            if state != Some(&BootState::Ready) {
                self.configurations.queue.add(named(&*configuration));
            }
        }
    }

    fn cares_for(&self, kind: Kind) -> bool {
        match kind {
            Kind::Ipxe => self.ipxe,
            Kind::Http => self.http,
        }
    }
}

/// Watches every kind, and wakes what depends on a change.
///
/// # Errors
///
/// When a watch ends, which none ever should.
pub(crate) async fn watch(client: &Client, ctx: &Context, queues: &Queues) -> Result<(), Ended> {
    let view = &*ctx.view;
    let configurations = Row::new(&view.configurations, wakes::configuration).heard_by(unreadable);
    let ipxe = Row::new(&view.ipxe, wakes::config)
        .heard_by(unreadable)
        .heard_by(|change| set_blob_refs(&queues.blob_refs, change));
    let http = Row::new(&view.http, wakes::config)
        .heard_by(unreadable)
        .heard_by(|change| set_blob_refs(&queues.blob_refs, change));
    let servers = Row::new(&view.servers, wakes::server).heard_by(unreadable);
    tokio::try_join!(
        configurations.follow(client, view, queues),
        ipxe.follow(client, view, queues),
        http.follow(client, view, queues),
        servers.follow(client, view, queues),
        secret_watch::follow(client, ctx, |woken| queues.wake_all(woken)),
        leases(client, ctx),
    )
    .map(drop)
}

/// Watches the leases, if they are used. Nothing is woken by them: they are looked up when a
/// machine asks.
async fn leases(client: &Client, ctx: &Context) -> Result<(), Ended> {
    match ctx.addresses {
        Addresses::Leased => match ctx.view.leases.follow(client).await {},
        Addresses::Any => {
            ctx.view.leases.settle();
            std::future::pending().await
        }
    }
}

/// Only blobs that boot configs refer to are served.
fn set_blob_refs<K: BootConfig>(blob_refs: &ReferencedBlobs<ConfigRef>, change: &Change<'_, K>) {
    match change {
        Change::Applied { new, .. } => blob_refs.set(new.config_ref(), new.blobs()),
        Change::Removed(old) => blob_refs.set(old.config_ref(), vec![]),
        Change::Unreadable { meta, .. } => {
            let name = (meta.namespace.clone(), meta.name.clone());
            let name = (name.0.unwrap_or_default(), name.1.unwrap_or_default());
            blob_refs.set(ConfigRef::new(K::KIND, name), vec![]);
        }
    }
}

fn unreadable<K: Resource<DynamicType = ()>>(change: &Change<'_, K>) {
    if let Change::Unreadable { meta, error, .. } = change {
        let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
        let kind = K::kind(&());
        tracing::warn!(
            %kind,
            namespace,
            name,
            error,
            "ignoring an object that could not be parsed",
        );
    }
}
