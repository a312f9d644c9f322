//! Writes that skip what nobody uses of their response. The API server returns the whole object, and its
//! managed fields are often larger than the rest.

use crate::metered::Budget;
use kube::{
    Api, Resource,
    api::{Patch, PatchParams, PostParams},
    core::Request,
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _},
};

/// An object, read like those of a watch: without managed fields and long annotations.
struct Returned<K>(K);

impl<'de, K: DeserializeOwned> Deserialize<'de> for Returned<K> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let document = Budget::new(usize::MAX).read(from)?;
        K::deserialize(document).map(Self).map_err(D::Error::custom)
    }
}

/// Like [`Api::patch`].
///
/// # Errors
///
/// Those of the API server.
pub(crate) async fn patch<K, P>(
    api: &Api<K>,
    name: &str,
    params: &PatchParams,
    patch: &Patch<P>,
) -> Result<K, kube::Error>
where
    K: Resource + Clone + DeserializeOwned,
    P: Serialize,
{
    send(api, "patch", Request::new(api.resource_url()).patch(name, params, patch)).await
}

/// Like [`Api::patch_status`].
///
/// # Errors
///
/// Those of the API server.
pub(crate) async fn patch_status<K, P>(
    api: &Api<K>,
    name: &str,
    params: &PatchParams,
    patch: &Patch<P>,
) -> Result<K, kube::Error>
where
    K: Resource + Clone + DeserializeOwned,
    P: Serialize,
{
    let request = Request::new(api.resource_url());
    send(api, "patch_status", request.patch_subresource("status", name, params, patch)).await
}

/// Like [`Api::create`].
///
/// # Errors
///
/// Those of the API server.
pub(crate) async fn create<K>(
    api: &Api<K>,
    params: &PostParams,
    object: &K,
) -> Result<K, kube::Error>
where
    K: Resource + Clone + DeserializeOwned + Serialize,
{
    let body = serde_json::to_vec(object).map_err(kube::Error::SerdeError)?;
    send(api, "create", Request::new(api.resource_url()).create(params, body)).await
}

/// Sends a request; `verb` names it in traces, as kube does.
async fn send<K: Resource + Clone + DeserializeOwned>(
    api: &Api<K>,
    verb: &'static str,
    request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
) -> Result<K, kube::Error> {
    let mut request = request.map_err(kube::Error::BuildRequest)?;
    request.extensions_mut().insert(verb);
    let Returned(object) = api.clone().into_client().request(request).await?;
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Node;
    use serde_json::json;

    #[test]
    fn what_a_write_returned_is_read_without_managed_fields() {
        let fields = json!([{ "manager": "m", "fieldsV1": { "f:status": { "f:phase": {} } } }]);
        let metadata = json!({ "name": "n1", "resourceVersion": "7", "managedFields": fields });
        let node = json!({ "metadata": metadata, "status": { "phase": "Running" } }).to_string();
        let Returned(node) = serde_json::from_str::<Returned<Node>>(&node).unwrap();
        assert_eq!(node.metadata.managed_fields, None);
        assert_eq!(node.metadata.resource_version.as_deref(), Some("7"));
        assert_eq!(node.status.unwrap().phase.as_deref(), Some("Running"));
        assert!(serde_json::from_str::<Returned<Node>>(r#"{"metadata": 1}"#).is_err());
    }
}
