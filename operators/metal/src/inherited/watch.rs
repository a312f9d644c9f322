//! Finds the objects: of kinds that are watched anyway by [`offer`], of all others by watches of
//! their metadata, of which nothing is kept.

use super::Key;
use futures::StreamExt as _;
use kube::{
    Api, Client, Resource, api::ObjectMeta, core::PartialObjectMeta, runtime::WatchStreamExt as _,
};
use metal_api::{
    BiosSettings, BiosSettingsSet, BiosVersion, BiosVersionSet, BmcSettings, BmcSettingsSet,
    BmcUser, BmcVersion, BmcVersionSet, ServerMaintenance, ServerReadinessRule,
};
use metal_core::inherited::{Kind, remaining};
use metal_runtime::{report::Chain, watch_in_pages, work::Work};
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// Asks for a pass over an object that carries something.
pub fn offer(work: &Work<Key>, kind: Kind, meta: &ObjectMeta) {
    if let (Some(name), Some(_)) = (&meta.name, remaining(kind, meta)) {
        let key = Key { kind, namespace: meta.namespace.clone(), name: name.clone() };
        work.queue.add(key);
    }
}

/// Follows the kinds that nobody else follows, for ever.
pub async fn watch(client: &Client, work: &Work<Key>) {
    tokio::join!(
        follow::<BmcUser>(client, work, Kind::BmcUser),
        follow::<ServerMaintenance>(client, work, Kind::ServerMaintenance),
        follow::<ServerReadinessRule>(client, work, Kind::ServerReadinessRule),
        follow::<BiosSettings>(client, work, Kind::BiosSettings),
        follow::<BiosSettingsSet>(client, work, Kind::BiosSettingsSet),
        follow::<BiosVersion>(client, work, Kind::BiosVersion),
        follow::<BiosVersionSet>(client, work, Kind::BiosVersionSet),
        follow::<BmcSettings>(client, work, Kind::BmcSettings),
        follow::<BmcSettingsSet>(client, work, Kind::BmcSettingsSet),
        follow::<BmcVersion>(client, work, Kind::BmcVersion),
        follow::<BmcVersionSet>(client, work, Kind::BmcVersionSet),
    );
}

async fn follow<K>(client: &Client, work: &Work<Key>, kind: Kind)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let api = Api::<PartialObjectMeta<K>>::all(client.clone());
    let events = watch_in_pages(api).applied_objects();
    let mut events = std::pin::pin!(events);
    let mut fails = false;
    while let Some(event) = events.next().await {
        match &event {
            Ok(object) => offer(work, kind, &object.metadata),
            // Where the kind is not installed, once is enough.
            Err(error) if !fails => {
                let kind: &str = kind.into();
                tracing::warn!(kind, error = %Chain(error), "watch failed");
            }
            Err(_) => {}
        }
        fails = event.is_err();
    }
}
