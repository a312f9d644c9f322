use crate::{
    guard::Located,
    index::{Change, Ended, Index},
};
use futures::{StreamExt, TryStreamExt};
use kube::{
    Api, Client, Resource,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event},
    },
};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, hash::Hash};

/// Follows one kind for ever: fills the index, and tells of each change. `trim` takes away what
/// nobody here reads.
///
/// # Errors
///
/// When the watch ends, which it does not by itself.
pub async fn follow<K, Key>(
    client: &Client,
    index: &Index<K, Key>,
    trim: fn(&mut K),
    on_change: impl FnMut(Change<'_, K>),
) -> Result<(), Ended>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    Key: Eq + Hash,
{
    let api = Api::<Located<K>>::all(client.clone());
    let events = watcher::watcher(api, watcher::Config::default())
        .default_backoff()
        .map_ok(guarded)
        .modify(move |object| {
            object.meta_mut().managed_fields = None;
            if let Ok(object) = &mut object.0 {
                trim(object);
            }
        })
        .boxed();
    index.follow_with(events, on_change).await
}

fn guarded<K>(event: Event<Located<K>>) -> Event<DeserializeGuard<K>> {
    match event {
        Event::Init => Event::Init,
        Event::InitApply(Located(object)) => Event::InitApply(object),
        Event::InitDone => Event::InitDone,
        Event::Apply(Located(object)) => Event::Apply(object),
        Event::Delete(Located(object)) => Event::Delete(object),
    }
}
