//! Watches every kind; `wakes` determines what is woken by which change.

use crate::{
    Context, Unreadable,
    claim::Key as ClaimQueueKey,
    foreign_cleanup, metalman_machines, notices,
    view::View,
    wakes::{self, WakeTarget, Wakes},
};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource, ResourceExt};
use metal_core::foreign_cleanup::Kind;
use metal_runtime::{
    index::{Change, Ended, GONE, Index},
    wiring::{self, Row},
    work::Work,
};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, hash::Hash, sync::Arc};

/// The queues of the controllers.
#[derive(Clone)]
pub(crate) struct Queues {
    /// Endpoints, by name.
    pub(crate) endpoints: Arc<Work<String>>,
    /// BMCs, by name.
    pub(crate) bmcs: Arc<Work<String>>,
    /// Servers, by name.
    pub(crate) servers: Arc<Work<String>>,
    /// Claims, by namespace and name.
    pub(crate) claims: Arc<Work<ClaimQueueKey>>,
    /// Objects that may carry something of another version.
    pub(crate) foreign_cleanup: Arc<Work<foreign_cleanup::Key>>,
    /// Objects with fields that may have no effect.
    pub(crate) notices: Arc<Work<notices::Key>>,
}

impl wiring::Queues for Queues {
    type WakeTarget = WakeTarget;

    fn wake(&self, woken: WakeTarget) {
        match woken {
            WakeTarget::Endpoint(name) => self.endpoints.queue.add(name),
            WakeTarget::Bmc(name) => self.bmcs.queue.add(name),
            WakeTarget::Server(name) => self.servers.queue.add(name),
            WakeTarget::Claim(namespace, name) => self.claims.queue.add((namespace, name)),
        }
    }
}

/// Watches every kind, and wakes what depends on a change.
///
/// # Errors
///
/// When a watch ends, which none ever should.
pub(crate) async fn watch<C: Send + Sync>(ctx: &Context<C>, queues: &Queues) -> Result<(), Ended> {
    let (client, view) = (&ctx.client, &*ctx.view);
    let endpoints = row(ctx, &view.endpoints, wakes::endpoint)
        .heard_by(|it| foreign_cleanup(queues, Kind::Endpoint, it))
        .heard_by(|it| notice(queues, it, |it| notices::Key::Endpoint(it.name_any())));
    let bmcs = row(ctx, &view.bmcs, wakes::bmc)
        .heard_by(|it| foreign_cleanup(queues, Kind::Bmc, it))
        .heard_by(|it| notice(queues, it, |it| notices::Key::Bmc(it.name_any())));
    let secrets = row(ctx, &view.secrets, wakes::secret)
        .heard_by(|it| foreign_cleanup(queues, Kind::BmcSecret, it));
    let servers = row(ctx, &view.servers, wakes::server)
        .heard_by(|it| notice(queues, it, |it| notices::Key::Server(it.name_any())));
    let configurations = row(ctx, &view.configurations, wakes::configuration);
    let claims = row(ctx, &view.claims, wakes::claim).heard_by(|it| {
        notice(queues, it, |it| {
            notices::Key::Claim(it.namespace().unwrap_or_default(), it.name_any())
        });
    });
    let inventories = row(ctx, &view.inventories, |_, change| wakes::inventory(change));
    tokio::try_join!(
        endpoints.follow(client, view, queues),
        bmcs.follow(client, view, queues),
        secrets.follow(client, view, queues),
        servers.follow(client, view, queues),
        configurations.follow(client, view, queues),
        claims.follow(client, view, queues),
        inventories.follow(client, view, queues),
        metalman_machines::follow(client, &view.machines, |change| {
            for woken in wakes::machine(view, &change) {
                wiring::Queues::wake(queues, woken);
            }
        }),
    )
    .map(drop)
}

/// A row for a kind without further consequences.
fn row<'a, C, K, Key>(
    ctx: &'a Context<C>,
    index: &'a Index<K, Key>,
    wakes: fn(&View, &Change<'_, K>) -> Wakes,
) -> Row<'a, View, K, Key, WakeTarget>
where
    C: Send + Sync,
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    Key: Eq + Hash,
{
    Row::new(index, wakes).heard_by(|change| unreadable(ctx, change))
}

/// The object may carry something of another version.
fn foreign_cleanup<K: Resource>(queues: &Queues, kind: Kind, change: &Change<'_, K>) {
    foreign_cleanup::offer_changed(&queues.foreign_cleanup, kind, change);
}

/// The object may have fields without effect: any change except of the status is checked.
fn notice<K: Resource>(queues: &Queues, change: &Change<'_, K>, key: fn(&K) -> notices::Key) {
    if let (true, Change::Applied { new: it, .. } | Change::Removed(it)) =
        (change.is_wish(), change)
    {
        queues.notices.queue.add(key(it));
    }
}

/// Passes on an object that cannot be parsed, to be reported.
fn unreadable<C, K: Resource<DynamicType = ()>>(ctx: &Context<C>, change: &Change<'_, K>) {
    let Change::Unreadable { meta, error, .. } = change else { return };
    if *error == GONE || meta.deletion_timestamp.is_some() {
        return;
    }
    let object = ObjectReference {
        api_version: Some(K::api_version(&()).into_owned()),
        kind: Some(K::kind(&()).into_owned()),
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        uid: meta.uid.clone(),
        ..ObjectReference::default()
    };
    // If there are too many, the log still has it.
    ctx.unreadable.try_send(Unreadable { object, error: (*error).to_owned() }).ok();
}
