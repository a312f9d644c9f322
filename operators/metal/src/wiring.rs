//! Watches every kind; `wakes` says who is woken by which change.

use crate::{
    Context, Unreadable,
    claim::Key as ClaimQueueKey,
    inherited, notices,
    view::{View, is_wish},
    wakes::{self, Wakes, Woken},
};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource, ResourceExt};
use metal_core::inherited::Kind;
use metal_runtime::{
    follow,
    index::{Change, Ended, GONE, Index},
    work::Work,
};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, hash::Hash, sync::Arc};

/// The queues of the controllers.
#[derive(Clone)]
pub(crate) struct Queues {
    /// Endpoints, by name.
    pub endpoints: Arc<Work<String>>,
    /// BMCs, by name.
    pub bmcs: Arc<Work<String>>,
    /// Servers, by name.
    pub servers: Arc<Work<String>>,
    /// Claims, by namespace and name.
    pub claims: Arc<Work<ClaimQueueKey>>,
    /// Objects with something that another version left.
    pub inherited: Arc<Work<inherited::Key>>,
    /// Objects that may say something that has no effect.
    pub notices: Arc<Work<notices::Key>>,
}

impl Queues {
    /// Asks for a pass over each of these objects.
    fn wake(&self, woken: Wakes) {
        for one in woken {
            match one {
                Woken::Endpoint(name) => self.endpoints.queue.add(name),
                Woken::Bmc(name) => self.bmcs.queue.add(name),
                Woken::Server(name) => self.servers.queue.add(name),
                Woken::Claim(namespace, name) => self.claims.queue.add((namespace, name)),
            }
        }
    }
}

/// A kind, and what its changes are good for.
struct Row<'a, K, Key> {
    index: &'a Index<K, Key>,
    /// Who depends on a change.
    wakes: fn(&View, &Change<'_, K>) -> Wakes,
    /// It may carry something of another version.
    inherited: Option<Kind>,
    /// It may say something that has no effect: what a user changes, or takes away, is looked at.
    notice: Option<fn(&K) -> notices::Key>,
}

/// A row of a kind that nothing else is known of.
fn row<K, Key>(
    index: &Index<K, Key>,
    wakes: fn(&View, &Change<'_, K>) -> Wakes,
) -> Row<'_, K, Key> {
    Row { index, wakes, inherited: None, notice: None }
}

impl<K, Key> Row<'_, K, Key>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    Key: Eq + Hash,
{
    fn inherited(self, kind: Kind) -> Self {
        Self { inherited: Some(kind), ..self }
    }

    fn noticed(self, notice: fn(&K) -> notices::Key) -> Self {
        Self { notice: Some(notice), ..self }
    }

    async fn follow<C>(self, ctx: &Context<C>, queues: &Queues) -> Result<(), Ended> {
        follow(&ctx.client, self.index, |change| {
            unreadable(ctx, &change);
            if let (Some(kind), Change::Applied { new, .. }) = (self.inherited, &change) {
                inherited::offer(&queues.inherited, kind, new.meta());
            }
            if let Some(key) = self.notice.and_then(|notice| wished(&change).map(notice)) {
                queues.notices.queue.add(key);
            }
            queues.wake((self.wakes)(&ctx.view, &change));
        })
        .await
    }
}

/// What somebody has changed other than the status, or taken away.
fn wished<'a, K: Resource>(change: &Change<'a, K>) -> Option<&'a K> {
    match change {
        Change::Applied { old: Some(old), new } if !is_wish(old.meta(), new.meta()) => None,
        Change::Applied { new, .. } => Some(new),
        Change::Removed(old) => Some(old),
        Change::Unreadable { .. } => None,
    }
}

/// Follows every kind, and wakes whoever depends on a change.
///
/// # Errors
///
/// When a watch ends, which none does by itself.
pub(crate) async fn watch<C: Send + Sync>(ctx: &Context<C>, queues: &Queues) -> Result<(), Ended> {
    let view = &ctx.view;
    let endpoints = row(&view.endpoints, wakes::endpoint)
        .inherited(Kind::Endpoint)
        .noticed(|it| notices::Key::Endpoint(it.name_any()));
    let bmcs = row(&view.bmcs, wakes::bmc)
        .inherited(Kind::Bmc)
        .noticed(|it| notices::Key::Bmc(it.name_any()));
    let secrets = row(&view.secrets, wakes::secret).inherited(Kind::BmcSecret);
    let servers =
        row(&view.servers, wakes::server).noticed(|it| notices::Key::Server(it.name_any()));
    let configurations = row(&view.configurations, wakes::configuration);
    let claims = row(&view.claims, wakes::claim)
        .noticed(|it| notices::Key::Claim(it.namespace().unwrap_or_default(), it.name_any()));
    let inventories = row(&view.inventories, |_, change| wakes::inventory(change));
    tokio::try_join!(
        endpoints.follow(ctx, queues),
        bmcs.follow(ctx, queues),
        secrets.follow(ctx, queues),
        servers.follow(ctx, queues),
        configurations.follow(ctx, queues),
        claims.follow(ctx, queues),
        inventories.follow(ctx, queues),
    )
    .map(drop)
}

/// Hands an object that does not parse to whoever tells of it.
fn unreadable<C, K: Resource<DynamicType = ()>>(ctx: &Context<C>, change: &Change<'_, K>) {
    let Change::Unreadable { meta, error } = change else { return };
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
    // Where there are too many, the log still has it.
    ctx.unreadable.try_send(Unreadable { object, error: (*error).to_owned() }).ok();
}
