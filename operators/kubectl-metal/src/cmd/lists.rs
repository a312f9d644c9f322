//! All objects of a kind, however many there are.

use crate::operations::REQUEST;
use anyhow::{Context, Result};
use kube::{Api, Resource, api::ListParams};
use metal_runtime::{kept_in_pages, list_in_pages};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use tokio::time::timeout;

/// Slow answers, at most, for which there is time.
const PAGES: u32 = 20;

/// Reads a list page by page: no answer grows with the number of objects.
///
/// # Errors
///
/// Those of the API server.
pub(crate) async fn all<K>(api: &Api<K>) -> Result<Vec<K>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    in_time::<K, _>(list_in_pages(api)).await
}

/// What `keep` makes of a list, of which this many objects are in memory at a time.
///
/// # Errors
///
/// Those of the API server.
pub(crate) async fn kept<K, T>(
    api: &Api<K>,
    at_a_time: u32,
    keep: impl FnMut(K) -> Option<T>,
) -> Result<Vec<T>>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let params = ListParams::default().limit(at_a_time);
    in_time::<K, _>(kept_in_pages(api, params, keep)).await
}

/// A list of this kind, if it comes in time.
async fn in_time<K, T>(list: impl Future<Output = Result<Vec<T>, kube::Error>>) -> Result<Vec<T>>
where
    K: Resource<DynamicType = ()>,
{
    let all = timeout(REQUEST * PAGES, list).await;
    let all = all.context("the API server does not answer")?;
    all.with_context(|| format!("list of kind {}", K::kind(&())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response};
    use kube::{Client, ResourceExt, client::Body};
    use metal_api::{BootToken, Host, HostRelease};
    use serde_json::{Value, json};
    use std::convert::Infallible;

    #[tokio::test]
    async fn lists_are_read_in_pages() {
        let key = json!({ "publicKey": "" });
        let token = json!({ "tokenSHA256": "", "hostName": "", "image": "", "ttl": "1h" });
        let release = json!({ "hostName": "", "image": "" });
        assert_eq!(names::<Host>(key).await, ["a", "b"]);
        assert_eq!(names::<BootToken>(token).await, ["a", "b"]);
        assert_eq!(names::<HostRelease>(release).await, ["a", "b"]);
    }

    async fn names<K>(spec: Value) -> Vec<String>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
        K: Clone + DeserializeOwned + Debug,
    {
        let service = tower::service_fn(move |request: Request<Body>| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let (name, next) = if query.contains("continue=2") { ("b", "") } else { ("a", "2") };
            assert!(query.contains("limit="), "{query}");
            let item = json!({ "metadata": { "name": name }, "spec": spec });
            let page = json!({ "metadata": { "continue": next }, "items": [item] });
            async move { Ok::<_, Infallible>(Response::new(Body::from(page.to_string().into_bytes()))) }
        });
        let api = Api::<K>::namespaced(Client::new(service, "default"), "org");
        all(&api).await.unwrap().iter().map(ResourceExt::name_any).collect()
    }
}
