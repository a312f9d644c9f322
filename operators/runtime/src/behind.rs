//! Whether the API server is behind what it has reported before, because a backup of it was restored.
//! To a watch that goes on from a version that it does not have yet, it reports nothing.

use crate::{
    index::{Index, version::Version},
    jittered,
};
use kube::{
    Api, Resource,
    api::{ListParams, ObjectMeta},
};
use serde::de::DeserializeOwned;
use std::{fmt::Debug, hash::Hash, time::Duration};
use tokio::time::{sleep, timeout};

/// How often to look.
const PERIOD: Duration = Duration::from_mins(5);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether the API server is behind what `index` has been shown. `params` selects objects that may be
/// listed.
///
/// # Errors
///
/// Those of the API server.
pub async fn is_behind<T, K, Key>(
    api: &Api<T>,
    params: &ListParams,
    index: &Index<K, Key>,
) -> Result<bool, kube::Error>
where
    T: Clone + DeserializeOwned + Debug,
    K: Resource<DynamicType = ()>,
    Key: Eq + Hash,
{
    // Before the answer: the watch may bring something newer while that is on its way.
    let Some(shown) = index.shown() else { return Ok(false) };
    let list = api.list_metadata(&params.clone().limit(1)).await?;
    let resource_version = list.metadata.resource_version;
    let now = Version::of(&ObjectMeta { resource_version, ..ObjectMeta::default() });
    Ok(now.is_some_and(|now| now < shown))
}

/// Waits until it is, and no list is in progress, which will show it anyway. Whoever began that one anew would never
/// see the end of it if it took longer than until the next look.
pub(crate) async fn until_behind<T, K, Key>(
    api: &Api<T>,
    params: &ListParams,
    index: &Index<K, Key>,
) where
    T: Clone + DeserializeOwned + Debug,
    K: Resource<DynamicType = ()>,
    Key: Eq + Hash,
{
    loop {
        sleep(jittered(PERIOD)).await;
        let answer = timeout(PATIENCE, is_behind(api, params, index)).await;
        if matches!(answer, Ok(Ok(true))) && !index.is_listing() {
            tracing::warn!(
                kind = %K::kind(&()),
                "the API server is behind what it has reported, as after a restore: listing again"
            );
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ApiServer, list};
    use futures::{StreamExt, stream};
    use http::StatusCode;
    use k8s_openapi::api::core::v1::Node;
    use kube::runtime::watcher::Event;

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_knows_less_than_before_is_noticed() {
        let index = Index::<Node, ()>::new(|_| vec![]);
        list(&index, [node("18")]).await;
        for (version, is_behind) in [("18", false), ("20", false), ("9", true)] {
            let server = ApiServer::default();
            server.put(&node(version));
            assert_eq!(is_noticed(&server, &index).await, is_behind, "{version}");
            server.fail(Some(StatusCode::INTERNAL_SERVER_ERROR));
            assert!(!is_noticed(&server, &index).await, "it does not say");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_in_progress_is_not_begun_anew() {
        let (server, index) = (ApiServer::default(), Index::<Node, ()>::new(|_| vec![]));
        list(&index, [node("18")]).await;
        server.put(&node("9"));
        let begun = stream::iter([Ok(Event::Init)]).chain(stream::pending());
        let listing = Box::pin(index.follow(begun));
        tokio::select! {
            ended = listing => ended.unwrap(),
            is_noticed = is_noticed(&server, &index) => assert!(!is_noticed),
        }
    }

    async fn is_noticed(server: &ApiServer, index: &Index<Node, ()>) -> bool {
        let api = Api::<Node>::all(server.client("default"));
        let params = ListParams::default();
        let noticed = until_behind(&api, &params, index);
        timeout(3 * PERIOD, noticed).await.is_ok()
    }

    fn node(version: &str) -> Node {
        let mut node = Node::default();
        node.metadata.name = Some("a".to_owned());
        node.metadata.resource_version = Some(version.to_owned());
        node
    }
}
