//! Watches every kind; `wakes` says who is woken by which change.

use crate::{
    Context, Unreadable,
    claim::Key as ClaimQueueKey,
    inherited, notices,
    view::is_wish,
    wakes::{self, Wakes, Woken},
};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Client, Resource, ResourceExt};
use metal_core::inherited::Kind;
use metal_runtime::{
    follow,
    index::{Change, Ended, GONE},
    work::Work,
};
use std::sync::Arc;

/// The queues of the controllers.
#[derive(Clone)]
pub struct Queues {
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

    /// Asks for a look at what a user changed, or took away.
    fn notice<K: Resource>(&self, change: &Change<'_, K>, key: impl Fn(&K) -> notices::Key) {
        match change {
            Change::Applied { old: Some(old), new } if !is_wish(old.meta(), new.meta()) => {}
            Change::Applied { new, .. } => self.notices.queue.add(key(new)),
            Change::Removed(old) => self.notices.queue.add(key(old)),
            Change::Unreadable { .. } => {}
        }
    }

    /// Asks for a pass over an object that carries something of another version.
    fn offer<K: Resource>(&self, kind: Kind, change: &Change<'_, K>) {
        if let Change::Applied { new, .. } = change {
            inherited::offer(&self.inherited, kind, new.meta());
        }
    }
}

/// Follows every kind, and wakes whoever depends on a change.
///
/// # Errors
///
/// When a watch ends, which none does by itself.
pub async fn watch<C: Send + Sync>(
    client: &Client,
    ctx: &Context<C>,
    queues: &Queues,
) -> Result<(), Ended> {
    let view = &ctx.view;
    tokio::try_join!(
        follow(client, &view.endpoints, |change| {
            unreadable(ctx, &change);
            queues.offer(Kind::Endpoint, &change);
            queues.notice(&change, |it| notices::Key::Endpoint(it.name_any()));
            queues.wake(wakes::endpoint(view, &change));
        }),
        follow(client, &view.bmcs, |change| {
            unreadable(ctx, &change);
            queues.offer(Kind::Bmc, &change);
            queues.notice(&change, |it| notices::Key::Bmc(it.name_any()));
            queues.wake(wakes::bmc(view, &change));
        }),
        follow(client, &view.secrets, |change| {
            unreadable(ctx, &change);
            queues.offer(Kind::BmcSecret, &change);
            queues.wake(wakes::secret(view, &change));
        }),
        follow(client, &view.servers, |change| {
            unreadable(ctx, &change);
            queues.notice(&change, |it| notices::Key::Server(it.name_any()));
            queues.wake(wakes::server(view, &change));
        }),
        follow(client, &view.configurations, |change| {
            unreadable(ctx, &change);
            queues.wake(wakes::configuration(view, &change));
        }),
        follow(client, &view.claims, |change| {
            unreadable(ctx, &change);
            queues.notice(&change, |it| {
                notices::Key::Claim(it.namespace().unwrap_or_default(), it.name_any())
            });
            queues.wake(wakes::claim(view, &change));
        }),
        follow(client, &view.inventories, |change| {
            unreadable(ctx, &change);
            queues.wake(wakes::inventory(&change));
        }),
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
