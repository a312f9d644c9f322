//! Finds the objects: those of kinds that are watched anyway, by [`offer`]; those of all other
//! kinds, by watches of their metadata, which is not kept.

use super::Key;
use futures::StreamExt as _;
use kube::{
    Api, Client, Resource, api::ObjectMeta, core::PartialObjectMeta, runtime::WatchStreamExt as _,
};
use metal_api::{
    BiosSettings, BiosSettingsSet, BiosVersion, BiosVersionSet, BmcSettings, BmcSettingsSet,
    BmcUser, BmcVersion, BmcVersionSet, ServerMaintenance, ServerReadinessRule,
};
use metal_core::foreign_cleanup::{Kind, remaining};
use metal_runtime::{
    index::{Change, GONE},
    report::Chain,
    watch_in_pages,
    work::Work,
};
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// Requests a pass over an object if it carries something.
fn offer(work: &Work<Key>, kind: Kind, meta: &ObjectMeta) {
    if remaining(kind, meta).is_some() {
        work.queue.add(key_of(kind, meta));
    }
}

/// The same for an object in an index. What one carries that cannot be parsed may not be known.
pub(crate) fn offer_changed<K: Resource>(work: &Work<Key>, kind: Kind, change: &Change<'_, K>) {
    match change {
        Change::Applied { new, .. } => offer(work, kind, new.meta()),
        Change::Unreadable { meta, error, .. } if *error != GONE => {
            work.queue.add(key_of(kind, meta));
        }
        Change::Unreadable { .. } | Change::Removed(_) => {}
    }
}

fn key_of(kind: Kind, meta: &ObjectMeta) -> Key {
    Key { kind, namespace: meta.namespace.clone(), name: meta.name.clone().unwrap_or_default() }
}

/// Watches the kinds that are not watched otherwise, forever; `seen` is called for every object,
/// including deleted ones.
pub(crate) async fn watch(client: &Client, work: &Work<Key>, seen: impl Fn(Key)) {
    tokio::join!(
        follow::<BmcUser>(client, work, &seen, Kind::BmcUser),
        follow::<ServerMaintenance>(client, work, &seen, Kind::ServerMaintenance),
        follow::<ServerReadinessRule>(client, work, &seen, Kind::ServerReadinessRule),
        follow::<BiosSettings>(client, work, &seen, Kind::BiosSettings),
        follow::<BiosSettingsSet>(client, work, &seen, Kind::BiosSettingsSet),
        follow::<BiosVersion>(client, work, &seen, Kind::BiosVersion),
        follow::<BiosVersionSet>(client, work, &seen, Kind::BiosVersionSet),
        follow::<BmcSettings>(client, work, &seen, Kind::BmcSettings),
        follow::<BmcSettingsSet>(client, work, &seen, Kind::BmcSettingsSet),
        follow::<BmcVersion>(client, work, &seen, Kind::BmcVersion),
        follow::<BmcVersionSet>(client, work, &seen, Kind::BmcVersionSet),
    );
}

async fn follow<K>(client: &Client, work: &Work<Key>, seen: &impl Fn(Key), kind: Kind)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let api = Api::<PartialObjectMeta<K>>::all(client.clone());
    let events = watch_in_pages(api).touched_objects();
    let mut events = std::pin::pin!(events);
    let mut fails = false;
    while let Some(event) = events.next().await {
        match &event {
            Ok(object) => {
                offer(work, kind, &object.metadata);
                seen(key_of(kind, &object.metadata));
            }
            // If the kind is not installed, one message is enough.
            Err(error) if !fails => {
                let kind: &str = kind.into();
                tracing::warn!(kind, error = %Chain(error), "watch failed");
            }
            Err(_) => {}
        }
        fails = event.is_err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::runtime::events::{Recorder, Reporter as Source};
    use metal_api::{Endpoint, EndpointSpec, finalizer};
    use metal_runtime::{report::Reporter, testing::ApiServer};
    use std::sync::Arc;

    #[tokio::test]
    async fn an_object_that_cannot_be_parsed_does_not_keep_what_blocks_its_deletion() {
        let meta = ObjectMeta { name: Some("a".to_owned()), ..ObjectMeta::default() };
        let clean = Endpoint::new("a", EndpointSpec::default());
        let mut deleted = clean.clone();
        deleted.metadata.finalizers = Some(vec![finalizer::ENDPOINT.to_owned()]);
        deleted.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::now()));
        let (clean, deleted) = (Arc::new(clean), Arc::new(deleted));
        let unreadable = |error| Change::Unreadable { meta: &meta, error, old: None };
        for (change, is_due) in [
            (Change::Applied { old: None, new: &clean }, false),
            (Change::Applied { old: Some(&clean), new: &deleted }, true),
            (unreadable("spec.ip: invalid type"), true),
            (unreadable(GONE), false),
            (Change::Removed(&deleted), false),
        ] {
            let work = work();
            offer_changed(&work, Kind::Endpoint, &change);
            assert_eq!(work.queue.is_empty(), !is_due, "{change:?}");
        }
    }

    fn work() -> Work<Key> {
        let client = ApiServer::default().client("default");
        Work::new(Reporter {
            controller: "test",
            recorder: Recorder::new(client, Source::from("test")),
            passes: prometheus_client::metrics::family::Family::default(),
        })
    }
}
