//! Lists of objects, page by page, so that no response contains a whole cluster.

use kube::{
    Api, Resource,
    api::{ListParams, ObjectList},
};
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// How many objects are requested at a time.
const PAGE: u32 = 200;

/// All objects of a kind as they are now, rather than as in a cache.
///
/// # Errors
///
/// Those of the API server.
pub async fn list_in_pages<K>(api: &Api<K>) -> Result<Vec<K>, kube::Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    list_selected_in_pages(api, ListParams::default()).await
}

/// Those that `params` select.
///
/// # Errors
///
/// Those of the API server.
pub async fn list_selected_in_pages<K>(
    api: &Api<K>,
    params: ListParams,
) -> Result<Vec<K>, kube::Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    kept_in_pages(api, params.limit(PAGE), Some).await
}

/// What `keep` makes of those that `params` select, as many at a time as these say: whatever it does not keep is let
/// go of with its page.
///
/// # Errors
///
/// Those of the API server.
pub async fn kept_in_pages<K, T>(
    api: &Api<K>,
    mut params: ListParams,
    mut keep: impl FnMut(K) -> Option<T>,
) -> Result<Vec<T>, kube::Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let mut all = Vec::new();
    loop {
        let ObjectList { items, metadata, .. } = api.list(&params).await?;
        all.extend(items.into_iter().filter_map(&mut keep));
        match metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Request, Response};
    use k8s_openapi::api::core::v1::Node;
    use kube::{Client, ResourceExt, client::Body};
    use serde_json::json;
    use std::convert::Infallible;

    #[tokio::test]
    async fn every_page_is_asked_for_and_none_twice() {
        let service = tower::service_fn(async |request: Request<Body>| {
            let query = request.uri().query().unwrap_or_default().to_owned();
            assert!(query.contains("limit=200"), "{query}");
            let (name, next) = match query.split_once("continue=") {
                None => ("a", "2"),
                Some((_, "2")) => ("b", "3"),
                Some((_, "3")) => ("c", ""),
                Some(other) => unreachable!("{other:?}"),
            };
            let page = json!({
                "metadata": {"continue": next}, "items": [{"metadata": {"name": name}}],
            });
            Ok::<_, Infallible>(Response::new(Body::from(page.to_string().into_bytes())))
        });
        let api = Api::<Node>::all(Client::new(service, "default"));
        let names: Vec<_> =
            list_in_pages(&api).await.unwrap().iter().map(ResourceExt::name_any).collect();
        assert_eq!(names, ["a", "b", "c"]);
    }
}
