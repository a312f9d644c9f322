//! A status, or a spec, that has a single writer, even if others have written to it.

use crate::{apply, apply::Precondition, apply_status, patch_spec, response};
use kube::{
    Api, Resource,
    api::{Patch, PatchParams},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};
use std::fmt::Debug;

/// Like [`apply_status`], for a status that nobody else should write: whatever it no longer
/// contains is removed, however deep, even if somebody else wrote it. After a restore from a backup, or with
/// another version, others own parts of the status as well. Applying would leave those in place, and whoever
/// compares the two would apply it forever; and, for an item in a list, leave only the part that has not changed,
/// which the API server refuses forever.
///
/// # Errors
///
/// Those of the API server; a conflict is expected now and then.
pub async fn record_status<K, S>(
    api: &Api<K>,
    seen: &K,
    status: &S,
    manager: &str,
) -> Result<K, kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug,
    S: Serialize + Debug + Sync,
{
    let base = match apply_status(api, seen, status, manager).await {
        Ok(written) if has_status(&written, status)? => return Ok(written),
        Ok(written) => written,
        Err(kube::Error::Api(refused)) if refused.is_invalid() => seen.clone(),
        Err(error) => return Err(error),
    };
    let wanted = serde_json::to_value(status).map_err(kube::Error::SerdeError)?;
    let there = field_of(&base, "status")?;
    let name = base.meta().name.as_deref().unwrap_or_default();
    let metadata = Precondition::on(&base);
    let patch = MergedStatus { metadata, status: difference(&there, &wanted) };
    let params = PatchParams { field_manager: Some(manager.to_owned()), ..Default::default() };
    response::patch_status(api, name, &params, &Patch::Merge(patch)).await
}

/// Like [`apply`], for an object whose spec nobody else should write, except the `shared` fields:
/// whatever it does not contain is removed, even if somebody else wrote it. Applying would leave that
/// in place, and whoever compares the two would apply it forever.
///
/// # Errors
///
/// Those of the API server; a conflict is expected now and then.
pub async fn record_spec<K>(
    api: &Api<K>,
    object: &K,
    shared: &[&str],
    manager: &str,
) -> Result<K, kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug,
{
    let written = apply(api, object, manager).await?;
    if has_the_same_spec(&written, object)? {
        return Ok(written);
    }
    match foreign(&spec_of(&written)?, &spec_of(object)?, shared) {
        Some(change) => patch_spec(api, &written, &change, manager).await,
        None => Ok(written),
    }
}

/// Whether both have the same spec: told by the texts, because the values of a large object take
/// many times their memory.
fn has_the_same_spec<K: Serialize>(one: &K, other: &K) -> Result<bool, kube::Error> {
    let (one, other) = (text(one)?, text(other)?);
    Ok(Parts::of(&one)?.spec.map(RawValue::get) == Parts::of(&other)?.spec.map(RawValue::get))
}

/// Whether an object has this status, told in the same way.
fn has_status<K: Serialize, S: Serialize>(object: &K, status: &S) -> Result<bool, kube::Error> {
    let (object, status) = (text(object)?, text(status)?);
    let there = Parts::of(&object)?.status.map_or("{}", RawValue::get);
    Ok(there.as_bytes() == status)
}

fn text(of: &impl Serialize) -> Result<Vec<u8>, kube::Error> {
    serde_json::to_vec(of).map_err(kube::Error::SerdeError)
}

/// Parts of the text of an object.
#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow)]
    spec: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
}

impl<'a> Parts<'a> {
    fn of(object: &'a [u8]) -> Result<Self, kube::Error> {
        serde_json::from_slice(object).map_err(kube::Error::SerdeError)
    }
}

fn spec_of<K: Serialize>(object: &K) -> Result<Value, kube::Error> {
    field_of(object, "spec")
}

fn field_of<K: Serialize>(object: &K, field: &str) -> Result<Value, kube::Error> {
    let mut object = serde_json::to_value(object).map_err(kube::Error::SerdeError)?;
    Ok(object[field].take())
}

/// The patch that removes from a spec what somebody else wrote, if there is anything.
fn foreign(there: &Value, wanted: &Value, shared: &[&str]) -> Option<Value> {
    let mut wanted = wanted.clone();
    for name in shared {
        if let (Some(theirs), Value::Object(wanted)) = (there.get(name), &mut wanted) {
            wanted.entry(*name).or_insert_with(|| theirs.clone());
        }
    }
    (*there != wanted).then(|| difference(there, &wanted))
}

/// The patch that turns `from` into `to` (RFC 7386).
fn difference(from: &Value, to: &Value) -> Value {
    let (Value::Object(before), Value::Object(after)) = (from, to) else { return to.clone() };
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    let gone = gone.map(|name| (name.clone(), Value::Null));
    let set = after.iter().map(|(name, value)| {
        let value = before.get(name).map_or_else(|| value.clone(), |old| difference(old, value));
        (name.clone(), value)
    });
    Value::Object(gone.chain(set).collect())
}

#[derive(Debug, Serialize)]
struct MergedStatus<'a> {
    metadata: Precondition<'a>,
    status: Value,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ApiServer, merge};
    use http::{Request, Response};
    use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim};
    use kube::{Client, client::Body};
    use metal_base::Locked;
    use serde_json::json;
    use std::{
        convert::Infallible,
        sync::{Arc, Mutex},
    };

    #[test]
    fn a_difference_removes_what_is_absent_and_replaces_lists() {
        let from = json!({ "a": 1, "b": { "c": 1, "d": 2 }, "l": [1, 2], "gone": {} });
        let to = json!({ "a": 2, "b": { "c": 1 }, "l": [2], "new": {} });
        let expected = json!({
            "a": 2, "b": { "c": 1, "d": null }, "l": [2], "new": {}, "gone": null,
        });
        assert_eq!(difference(&from, &to), expected);
        assert_eq!(difference(&Value::Null, &to), to);
    }

    #[tokio::test]
    async fn what_somebody_else_wrote_into_a_spec_of_ours_is_removed_and_what_is_shared_stays() {
        let (server, api) = node(json!({ "podCIDR": "10.0.0.0/8", "providerID": "theirs" }));
        let ours: Node = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1" },
            "spec": { "unschedulable": true },
        }))
        .unwrap();
        let written = record_spec(&api, &ours, &["providerID"], "me").await.unwrap();
        let spec = json!({ "unschedulable": true, "providerID": "theirs" });
        assert_eq!(spec_of(&written).unwrap(), spec);
        assert_eq!(server.sent().len(), 2, "an apply and a patch");
        record_spec(&api, &ours, &["providerID"], "me").await.unwrap();
        assert_eq!(server.sent().len(), 3, "there is nothing left to remove");
    }

    #[tokio::test]
    async fn what_somebody_else_wrote_into_a_status_of_ours_is_removed_however_deep() {
        let theirs = json!({ "capacity": { "inodes": "9", "storage": "1Gi" }, "phase": "Bound" });
        let server = Restored::default();
        *server.0.locked() = (theirs, 0);
        let api = Api::<PersistentVolumeClaim>::default_namespaced(server.client());
        let ours = json!({ "capacity": { "storage": "1Gi" }, "phase": "Bound" });
        let mut seen = PersistentVolumeClaim::default();
        seen.metadata.name = Some("a".to_owned());
        for requests in [2, 3] {
            let written = record_status(&api, &seen, &ours, "me").await.unwrap();
            assert_eq!(server.0.locked().1, requests, "there is something to remove only once");
            assert_eq!(server.0.locked().0, ours);
            assert_eq!(written.status.unwrap().phase.as_deref(), Some("Bound"));
        }
    }

    /// An API server with a status in which somebody else owns every field: what is applied removes none. Counts
    /// requests.
    #[derive(Clone, Default)]
    struct Restored(Arc<Mutex<(Value, u32)>>);

    impl Restored {
        fn client(&self) -> Client {
            let server = self.clone();
            let service = tower::service_fn(move |request: Request<Body>| {
                let server = server.clone();
                async move {
                    let body = request.into_body().collect_bytes().await.unwrap();
                    let body: Value = serde_json::from_slice(&body).unwrap();
                    let mut state = server.0.locked();
                    state.1 += 1;
                    merge(&mut state.0, &body["status"]);
                    let object = json!({ "metadata": { "name": "a" }, "status": state.0 });
                    let object = Body::from(object.to_string().into_bytes());
                    Ok::<_, Infallible>(Response::new(object))
                }
            });
            Client::new(service, "default")
        }
    }

    /// A node that somebody else has written.
    fn node(spec: Value) -> (ApiServer, Api<Node>) {
        let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1" } });
        let mut node: Node = serde_json::from_value(node).unwrap();
        node.spec = Some(serde_json::from_value(spec).unwrap());
        let server = ApiServer::default();
        server.put(&node);
        let api = Api::all(server.client("default"));
        (server, api)
    }
}
