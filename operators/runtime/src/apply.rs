//! Writes of one object: applied as one field manager, merged, or deleted. What is based on an object
//! that was seen carries its version, so that nothing newer is overwritten.

use crate::{OkIf, response};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{
    Api, Resource,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{borrow::Cow, collections::BTreeMap, fmt::Debug};

/// Applies `object`, which contains exactly the fields that `manager` owns.
///
/// Build it from scratch: a copy of an object that was read would take over everybody else's
/// fields, and is refused because of its managed fields. Fields that `manager` applied before and
/// that are now absent are removed.
///
/// # Errors
///
/// Those of the API server.
pub async fn apply<K>(api: &Api<K>, object: &K, manager: &str) -> Result<K, kube::Error>
where
    K: Resource + Clone + DeserializeOwned + Serialize + Debug,
{
    let name = object.meta().name.as_deref().unwrap_or_default();
    response::patch(api, name, &PatchParams::apply(manager).force(), &Patch::Apply(object)).await
}

/// Applies `status` to the object `seen`, as the sole owner of every field in it.
///
/// The patch carries the resource version of `seen`: a decision taken on a stale object is
/// refused with `409 Conflict` instead of overwriting a newer one.
///
/// # Errors
///
/// Those of the API server; a conflict is expected now and then.
pub async fn apply_status<K, S>(
    api: &Api<K>,
    seen: &K,
    status: &S,
    manager: &str,
) -> Result<K, kube::Error>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned,
    S: Serialize + Debug + Sync,
{
    let name = seen.meta().name.as_deref().unwrap_or_default();
    let patch = Patch::Apply(StatusPatch {
        api_version: K::api_version(&()),
        kind: K::kind(&()),
        metadata: Precondition::on(seen),
        status,
    });
    response::patch_status(api, name, &PatchParams::apply(manager).force(), &patch).await
}

/// Merges `spec` into that of the object `seen` (RFC 7386: `null` removes a field), for a spec with
/// several writers. Carries the resource version of `seen`, like [`apply_status`].
///
/// # Errors
///
/// Those of the API server; a conflict is expected now and then.
pub async fn patch_spec<K, S>(
    api: &Api<K>,
    seen: &K,
    spec: &S,
    manager: &str,
) -> Result<K, kube::Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
    S: Serialize + Debug + Sync,
{
    merge(api, seen, &SpecPatch { metadata: Precondition::on(seen), spec }, manager).await
}

/// A change of metadata and spec in one write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ObjectChange<'a, S> {
    pub(crate) metadata: &'a MetadataChange<'a>,
    pub(crate) spec: &'a S,
}

/// Like [`patch_spec`], but also changes the metadata of the object in the same write.
///
/// # Errors
///
/// Those of the API server; a conflict is expected now and then.
pub(crate) async fn patch_object<K, S>(
    api: &Api<K>,
    seen: &K,
    change: ObjectChange<'_, S>,
    manager: &str,
) -> Result<K, kube::Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
    S: Serialize + Debug + Sync,
{
    let precondition = Precondition::on(seen);
    let metadata = ChangedMetadata { precondition, change: change.metadata };
    merge(api, seen, &ObjectPatch { metadata, spec: change.spec }, manager).await
}

/// Sets the annotations that have a value, removes those that have none, and leaves all others.
/// Carries the resource version of `seen`, like [`apply_status`].
///
/// # Errors
///
/// Those of the API server; a conflict is expected now and then.
pub async fn patch_annotations<K>(
    api: &Api<K>,
    seen: &K,
    annotations: &BTreeMap<&str, Option<&str>>,
    manager: &str,
) -> Result<K, kube::Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let metadata = Annotated { precondition: Precondition::on(seen), annotations };
    merge(api, seen, &AnnotationPatch { metadata }, manager).await
}

/// A change of the metadata of an object; the default changes nothing.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MetadataChange<'a> {
    /// The complete list of finalizers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finalizers: Option<&'a [String]>,
    /// The complete list of owners.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_references: Option<&'a [OwnerReference]>,
    /// Labels to set or, without a value, to remove; all others stay.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<&'a str, Option<&'a str>>,
    /// Annotations, in the same way.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<&'a str, Option<&'a str>>,
}

/// Changes the metadata of the object `seen`, and returns the new metadata. Carries the resource
/// version of `seen`, like [`apply_status`].
///
/// # Errors
///
/// Those of the API server; a conflict is expected now and then.
pub async fn patch_metadata<K>(
    api: &Api<K>,
    seen: &ObjectMeta,
    change: &MetadataChange<'_>,
    manager: &str,
) -> Result<ObjectMeta, kube::Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let resource_version = seen.resource_version.as_deref();
    let metadata =
        ChangedMetadata { precondition: Precondition { uid: None, resource_version }, change };
    let params = PatchParams { field_manager: Some(manager.to_owned()), ..Default::default() };
    let patch = Patch::Merge(MetadataPatch { metadata });
    let name = seen.name.as_deref().unwrap_or_default();
    Ok(api.patch_metadata(name, &params, &patch).await?.metadata)
}

/// Deletes an object unless it has changed since it was seen. It is no error if the object is
/// already gone.
///
/// # Errors
///
/// Those of the API server; a conflict is expected now and then.
pub async fn delete_seen<K>(api: &Api<K>, seen: &K) -> Result<(), kube::Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let meta = seen.meta();
    let (uid, resource_version) = (meta.uid.clone(), meta.resource_version.clone());
    delete(api, meta, Preconditions { uid, resource_version }).await.map(drop)
}

/// The outcome of a deletion.
pub(crate) enum Deletion<K> {
    /// It stays until its last finalizer is removed.
    Held(K),
    /// It is gone.
    Done,
    /// It was gone before.
    Absent,
}

pub(crate) async fn delete<K>(
    api: &Api<K>,
    seen: &ObjectMeta,
    preconditions: Preconditions,
) -> Result<Deletion<K>, kube::Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
    let deleted = api.delete(seen.name.as_deref().unwrap_or_default(), &params).await;
    let Some(deleted) = deleted.ok_if_not_found()? else { return Ok(Deletion::Absent) };
    Ok(deleted.left().map_or(Deletion::Done, Deletion::Held))
}

async fn merge<K, P>(api: &Api<K>, seen: &K, patch: &P, manager: &str) -> Result<K, kube::Error>
where
    K: Resource + Clone + DeserializeOwned + Debug,
    P: Serialize + Debug + Sync,
{
    let name = seen.meta().name.as_deref().unwrap_or_default();
    let params = PatchParams { field_manager: Some(manager.to_owned()), ..Default::default() };
    response::patch(api, name, &params, &Patch::Merge(patch)).await
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusPatch<'a, S> {
    api_version: Cow<'a, str>,
    kind: Cow<'a, str>,
    metadata: Precondition<'a>,
    status: &'a S,
}

#[derive(Debug, Serialize)]
struct SpecPatch<'a, S> {
    metadata: Precondition<'a>,
    spec: &'a S,
}

#[derive(Debug, Serialize)]
struct ObjectPatch<'a, S> {
    metadata: ChangedMetadata<'a>,
    spec: &'a S,
}

#[derive(Debug, Serialize)]
struct AnnotationPatch<'a> {
    metadata: Annotated<'a>,
}

#[derive(Debug, Serialize)]
struct Annotated<'a> {
    #[serde(flatten)]
    precondition: Precondition<'a>,
    annotations: &'a BTreeMap<&'a str, Option<&'a str>>,
}

#[derive(Debug, Serialize)]
struct MetadataPatch<'a> {
    metadata: ChangedMetadata<'a>,
}

#[derive(Debug, Serialize)]
struct ChangedMetadata<'a> {
    #[serde(flatten)]
    precondition: Precondition<'a>,
    #[serde(flatten)]
    change: &'a MetadataChange<'a>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Precondition<'a> {
    /// Only without a version, which is that of one object.
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_version: Option<&'a str>,
}

impl<'a> Precondition<'a> {
    pub(crate) fn on(seen: &'a impl Resource) -> Self {
        let resource_version = seen.meta().resource_version.as_deref();
        let uid = seen.meta().uid.as_deref().filter(|_| resource_version.is_none());
        Self { uid, resource_version }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ApiServer, Sent};
    use k8s_openapi::api::core::v1::{Node, NodeStatus};
    use serde_json::json;

    #[tokio::test]
    async fn status_is_applied_as_its_own_document_with_the_version_it_was_decided_on() {
        let server = ApiServer::default();
        server.put(&seen());
        let status = NodeStatus { phase: Some("Running".to_owned()), ..NodeStatus::default() };
        let written =
            apply_status(&Api::all(server.client("default")), &seen(), &status, "me").await;
        assert!(written.is_ok(), "{written:?}");
        assert_eq!(
            server.sent().pop().unwrap(),
            Sent {
                request: "PATCH /api/v1/nodes/n1/status".to_owned(),
                query: "&force=true&fieldManager=me".to_owned(),
                body: json!({
                    "apiVersion": "v1", "kind": "Node",
                    "metadata": {"resourceVersion": "7"}, "status": {"phase": "Running"},
                }),
            }
        );
    }

    #[tokio::test]
    async fn annotations_are_merged_and_one_without_value_is_removed() {
        let server = ApiServer::default();
        server.put(&seen());
        let changes = BTreeMap::from([("gone", None), ("set", Some("yes"))]);
        let written =
            patch_annotations(&Api::all(server.client("default")), &seen(), &changes, "me").await;
        assert!(written.is_ok(), "{written:?}");
        assert_eq!(
            server.sent().pop().unwrap(),
            Sent {
                request: "PATCH /api/v1/nodes/n1".to_owned(),
                query: "&fieldManager=me".to_owned(),
                body: json!({
                    "metadata": {"resourceVersion": "7", "annotations": {"gone": null, "set": "yes"}},
                }),
            }
        );
    }

    #[tokio::test]
    async fn metadata_is_merged_and_what_is_not_named_stays() {
        let server = ApiServer::default();
        server.put(&seen());
        let change = MetadataChange {
            finalizers: Some(&[]),
            labels: BTreeMap::from([("gone", None)]),
            ..MetadataChange::default()
        };
        let api = Api::<Node>::all(server.client("default"));
        patch_metadata(&api, &seen().metadata, &change, "me").await.ok();
        assert_eq!(
            server.sent().pop().unwrap(),
            Sent {
                request: "PATCH /api/v1/nodes/n1".to_owned(),
                query: "&fieldManager=me".to_owned(),
                body: json!({
                    "metadata": {"resourceVersion": "7", "finalizers": [], "labels": {"gone": null}},
                }),
            }
        );
    }

    #[tokio::test]
    async fn spec_is_merged_with_the_version_it_was_decided_on() {
        #[derive(Debug, Serialize)]
        struct Cordon {
            unschedulable: bool,
        }
        let server = ApiServer::default();
        server.put(&seen());
        let written = patch_spec(
            &Api::all(server.client("default")),
            &seen(),
            &Cordon { unschedulable: true },
            "me",
        )
        .await;
        assert!(written.is_ok(), "{written:?}");
        assert_eq!(
            server.sent().pop().unwrap(),
            Sent {
                request: "PATCH /api/v1/nodes/n1".to_owned(),
                query: "&fieldManager=me".to_owned(),
                body: json!({"metadata": {"resourceVersion": "7"}, "spec": {"unschedulable": true}}),
            }
        );
    }

    #[tokio::test]
    async fn object_is_applied_whole_by_force() {
        let server = ApiServer::default();
        server.put(&seen());
        let mut node = Node::default();
        node.metadata.name = Some("n1".to_owned());
        let written = apply(&Api::all(server.client("default")), &node, "me").await;
        assert!(written.is_ok(), "{written:?}");
        assert_eq!(
            server.sent().pop().unwrap(),
            Sent {
                request: "PATCH /api/v1/nodes/n1".to_owned(),
                query: "&force=true&fieldManager=me".to_owned(),
                body: json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}),
            }
        );
    }

    fn seen() -> Node {
        let mut node = Node::default();
        node.metadata.name = Some("n1".to_owned());
        node.metadata.resource_version = Some("7".to_owned());
        node
    }
}
