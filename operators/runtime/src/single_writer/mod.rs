//! A status, or a spec, that has a single writer, even if others have written to it.

mod status_fields;

use crate::{apply, apply::Precondition, apply_status, patch_spec, response};
use kube::{
    Api, Resource,
    api::{Patch, PatchParams},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};
use status_fields::StatusFields;
use std::fmt::Debug;

/// Like [`apply_status`], for a status that nobody else should write: whatever it no longer
/// contains is removed, even if somebody else wrote it. After a restore from a backup, or with
/// another version, others own parts of the status as well. Applying would leave those in place
/// and, for an item in a list, only the part that has not changed, which the API server refuses forever.
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
    let wanted = StatusFields::by(status)?;
    let before = StatusFields::in_status_of(seen)?;
    let base = match apply_status(api, seen, status, manager).await {
        // Nothing was there that has to go.
        Ok(written) if before.is_within(&wanted) => return Ok(written),
        Ok(written) => {
            let stays = before.also_in(&StatusFields::in_status_of(&written)?);
            if stays.is_within(&wanted) {
                return Ok(written);
            }
            written
        }
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
    let text = |object: &K| serde_json::to_vec(object).map_err(kube::Error::SerdeError);
    let (one, other) = (text(one)?, text(other)?);
    Ok(spec_in(&one)? == spec_in(&other)?)
}

/// The text of the spec in that of an object.
fn spec_in(object: &[u8]) -> Result<Option<&str>, kube::Error> {
    #[derive(Deserialize)]
    struct Object<'a> {
        #[serde(borrow)]
        spec: Option<&'a RawValue>,
    }
    let object: Object<'_> = serde_json::from_slice(object).map_err(kube::Error::SerdeError)?;
    Ok(object.spec.map(RawValue::get))
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
    use crate::testing::ApiServer;
    use k8s_openapi::api::core::v1::Node;
    use serde_json::json;

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
