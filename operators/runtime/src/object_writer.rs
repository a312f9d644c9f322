//! Writes objects that are in an index, where the result of a write is visible at once.

use crate::{
    MetadataChange, OkIf, apply,
    apply::{Deletion, ObjectChange, delete, patch_object},
    apply_status,
    index::Index,
    patch_annotations, patch_metadata, patch_spec, record_spec, record_status, response,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api, Resource,
    api::{PostParams, Preconditions},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fmt::Debug, hash::Hash};

/// Writes objects of kind `K`, in one namespace or cluster-scoped, as one field manager.
#[derive(Clone, Debug)]
pub struct Writer<'a, K, Key> {
    api: Api<K>,
    index: &'a Index<K, Key>,
    manager: &'a str,
}

/// The outcome of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The index shows what was written, or something later: the next decision is based on that.
    Seen,
    /// The index shows the same as before, because nothing was changed, or because it is not known
    /// which of two versions is the later one.
    Unseen,
    /// The object no longer exists: the watch will report that.
    Gone,
}

impl<'a, K, Key> Writer<'a, K, Key>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Serialize + Debug,
    Key: Eq + Hash,
{
    /// Writes objects in `index` through `api`.
    pub fn new(api: Api<K>, index: &'a Index<K, Key>, manager: &'a str) -> Self {
        Self { api, index, manager }
    }

    /// The API, to read objects that the index may not have yet.
    pub fn api(&self) -> &Api<K> {
        &self.api
    }

    /// Like [`record_status`].
    ///
    /// # Errors
    ///
    /// Those of the API server; a conflict is expected now and then.
    pub async fn record_status<S>(&self, seen: &K, status: &S) -> Result<Written, kube::Error>
    where
        S: Serialize + Debug + Sync,
    {
        let written = record_status(&self.api, seen, status, self.manager).await?;
        Ok(self.wrote(version(seen.meta()), written))
    }

    /// Like [`apply_status`].
    ///
    /// # Errors
    ///
    /// Those of the API server; a conflict is expected now and then.
    pub async fn apply_status<S>(&self, seen: &K, status: &S) -> Result<Written, kube::Error>
    where
        S: Serialize + Debug + Sync,
    {
        let written = apply_status(&self.api, seen, status, self.manager).await?;
        Ok(self.wrote(version(seen.meta()), written))
    }

    /// Like [`patch_spec`].
    ///
    /// # Errors
    ///
    /// Those of the API server; a conflict is expected now and then.
    pub async fn patch_spec<S>(&self, seen: &K, spec: &S) -> Result<Written, kube::Error>
    where
        S: Serialize + Debug + Sync,
    {
        let written = patch_spec(&self.api, seen, spec, self.manager).await?;
        Ok(self.wrote(version(seen.meta()), written))
    }

    /// Like [`patch_spec`], but also changes the metadata of the object in the same write.
    ///
    /// # Errors
    ///
    /// Those of the API server; a conflict is expected now and then.
    pub async fn patch<S>(
        &self,
        seen: &K,
        change: &MetadataChange<'_>,
        spec: &S,
    ) -> Result<Written, kube::Error>
    where
        S: Serialize + Debug + Sync,
    {
        let change = ObjectChange { metadata: change, spec };
        let written = patch_object(&self.api, seen, change, self.manager).await?;
        Ok(self.wrote(version(seen.meta()), written))
    }

    /// Like [`patch_annotations`].
    ///
    /// # Errors
    ///
    /// Those of the API server; a conflict is expected now and then.
    pub async fn patch_annotations(
        &self,
        seen: &K,
        annotations: &BTreeMap<&str, Option<&str>>,
    ) -> Result<Written, kube::Error> {
        let written = patch_annotations(&self.api, seen, annotations, self.manager).await?;
        Ok(self.wrote(version(seen.meta()), written))
    }

    /// Like [`patch_metadata`]; it is no error if the object is gone.
    ///
    /// # Errors
    ///
    /// Those of the API server; a conflict is expected now and then.
    pub async fn patch_metadata(
        &self,
        seen: &ObjectMeta,
        change: &MetadataChange<'_>,
    ) -> Result<Written, kube::Error> {
        let patched = patch_metadata(&self.api, seen, change, self.manager).await;
        let Some(new) = patched.ok_if_not_found()? else { return Ok(Written::Gone) };
        let is_news = version(&new) != version(seen);
        let is_shown = self.index.wrote_metadata(seen, new);
        Ok(if is_news && is_shown { Written::Seen } else { Written::Unseen })
    }

    /// Adds a finalizer to the object `seen`; it is no error if the object is gone.
    ///
    /// # Errors
    ///
    /// Those of the API server; a conflict is expected now and then.
    pub async fn add_finalizer(&self, seen: &K, name: &str) -> Result<Written, kube::Error> {
        let mut finalizers = seen.meta().finalizers.clone().unwrap_or_default();
        finalizers.push(name.to_owned());
        self.set_finalizers(seen, &finalizers).await
    }

    /// Removes a finalizer from the object `seen`, if it has it; it is no error if the object is
    /// gone.
    ///
    /// # Errors
    ///
    /// Those of the API server; a conflict is expected now and then.
    pub async fn remove_finalizer(&self, seen: &K, name: &str) -> Result<Written, kube::Error> {
        let mut finalizers = seen.meta().finalizers.clone().unwrap_or_default();
        let before = finalizers.len();
        finalizers.retain(|known| known != name);
        if finalizers.len() == before {
            return Ok(Written::Unseen);
        }
        self.set_finalizers(seen, &finalizers).await
    }

    async fn set_finalizers(
        &self,
        seen: &K,
        finalizers: &[String],
    ) -> Result<Written, kube::Error> {
        let change = MetadataChange { finalizers: Some(finalizers), ..MetadataChange::default() };
        self.patch_metadata(seen.meta(), &change).await
    }

    /// Like [`apply`].
    ///
    /// # Errors
    ///
    /// Those of the API server.
    pub async fn apply(&self, object: &K) -> Result<Written, kube::Error> {
        let meta = object.meta();
        let name = meta.name.as_deref().unwrap_or_default();
        let there = self.index.named(meta.namespace.as_deref(), name);
        let written = apply(&self.api, object, self.manager).await?;
        Ok(self.wrote(there.as_deref().and_then(|there| version(there.meta())), written))
    }

    /// Like [`record_spec`].
    ///
    /// # Errors
    ///
    /// Those of the API server; a conflict is expected now and then.
    pub async fn record_spec(&self, object: &K, shared: &[&str]) -> Result<Written, kube::Error> {
        let meta = object.meta();
        let name = meta.name.as_deref().unwrap_or_default();
        let there = self.index.named(meta.namespace.as_deref(), name);
        let written = record_spec(&self.api, object, shared, self.manager).await?;
        Ok(self.wrote(there.as_deref().and_then(|there| version(there.meta())), written))
    }

    /// Creates an object. An existing one is left as it is: the watch will report it.
    ///
    /// # Errors
    ///
    /// Those of the API server.
    pub async fn create(&self, object: &K) -> Result<Written, kube::Error> {
        let field_manager = Some(self.manager.to_owned());
        let params = PostParams { field_manager, ..PostParams::default() };
        let created = response::create(&self.api, &params, object).await.ok_if_already_exists()?;
        Ok(created.map_or(Written::Unseen, |created| self.wrote(None, created)))
    }

    /// Deletes an object unless it has changed since it was seen. It is no error if the object is
    /// already gone.
    ///
    /// # Errors
    ///
    /// Those of the API server; a conflict is expected now and then.
    pub async fn delete_seen(&self, seen: &ObjectMeta) -> Result<Written, kube::Error> {
        let resource_version = seen.resource_version.clone();
        self.delete_if(seen, Preconditions { uid: seen.uid.clone(), resource_version }).await
    }

    /// Deletes an object even if it has changed since, but not another one with the same name. It
    /// is no error if the object is already gone.
    ///
    /// # Errors
    ///
    /// Those of the API server.
    pub async fn delete(&self, seen: &ObjectMeta) -> Result<Written, kube::Error> {
        self.delete_if(seen, Preconditions { uid: seen.uid.clone(), resource_version: None }).await
    }

    async fn delete_if(
        &self,
        seen: &ObjectMeta,
        preconditions: Preconditions,
    ) -> Result<Written, kube::Error> {
        Ok(match delete(&self.api, seen, preconditions).await? {
            Deletion::Held(object) => self.wrote(version(seen), object),
            Deletion::Done | Deletion::Absent if self.index.deleted(seen) => Written::Seen,
            Deletion::Done | Deletion::Absent => Written::Unseen,
        })
    }

    fn wrote(&self, before: Option<&str>, written: K) -> Written {
        let is_news = before.is_none() || version(written.meta()) != before;
        let is_shown = self.index.wrote(written);
        if is_news && is_shown { Written::Seen } else { Written::Unseen }
    }
}

fn version(meta: &ObjectMeta) -> Option<&str> {
    meta.resource_version.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ApiServer;
    use futures::stream;
    use k8s_openapi::api::core::v1::{Node, NodeStatus};
    use kube::{ResourceExt, core::DeserializeGuard, runtime::watcher::Event};
    use serde_json::json;

    #[tokio::test]
    async fn one_finalizer_comes_and_goes_and_all_others_stay() {
        let (server, index, manager) = seen().await;
        let there = || index.named(None, "n1").unwrap();
        let nodes = Writer::new(Api::all(server.client("default")), &index, manager);
        assert_eq!(nodes.add_finalizer(&there(), "ours").await.unwrap(), Written::Seen);
        assert_eq!(there().finalizers(), ["theirs", "ours"]);
        assert_eq!(nodes.remove_finalizer(&there(), "other").await.unwrap(), Written::Unseen);
        assert_eq!(server.written().len(), 1, "it is not there");
        assert_eq!(nodes.remove_finalizer(&there(), "ours").await.unwrap(), Written::Seen);
        assert_eq!(there().finalizers(), ["theirs"]);
        let patch = server.written().pop().unwrap();
        let expected = json!({"metadata": {"resourceVersion": "8", "finalizers": ["theirs"]}});
        assert_eq!((patch.request.as_str(), patch.body), ("PATCH /api/v1/nodes/n1", expected));
    }

    #[tokio::test]
    async fn what_a_write_returned_is_in_the_index_and_what_changed_nothing_is_no_news() {
        let (server, index, manager) = seen().await;
        let nodes = Writer::new(Api::all(server.client("default")), &index, manager);
        let there = || index.named(None, "n1").unwrap();
        let status = NodeStatus { phase: Some("Running".to_owned()), ..NodeStatus::default() };
        for written in [Written::Seen, Written::Unseen] {
            assert_eq!(nodes.apply_status(&there(), &status).await.unwrap(), written);
            assert_eq!(there().status.as_ref(), Some(&status));
        }
        let cordon = json!({ "unschedulable": true });
        assert_eq!(nodes.patch_spec(&there(), &cordon).await.unwrap(), Written::Seen);
        let changes = BTreeMap::from([("set", Some("yes"))]);
        assert_eq!(nodes.patch_annotations(&there(), &changes).await.unwrap(), Written::Seen);
        let change = MetadataChange { labels: [("a", Some("b"))].into(), ..Default::default() };
        assert_eq!(nodes.patch(&there(), &change, &json!({})).await.unwrap(), Written::Seen);
        let now = there();
        assert_eq!((&now.annotations()["set"], &now.labels()["a"]), (&"yes".into(), &"b".into()));
        assert_eq!(now.resource_version(), Some("11".to_owned()));
        assert!(now.spec.as_ref().unwrap().unschedulable.unwrap() && now.status.is_some());
    }

    #[tokio::test]
    async fn what_is_made_or_deleted_is_seen_at_once_and_what_was_there_before_stays() {
        let (server, index, manager) = seen().await;
        let nodes = Writer::new(Api::all(server.client("default")), &index, manager);
        let mut node = Node::default();
        node.metadata.name = Some("n2".to_owned());
        assert_eq!(nodes.create(&node).await.unwrap(), Written::Seen);
        assert_eq!(nodes.create(&node).await.unwrap(), Written::Unseen);
        let made = index.named(None, "n2").unwrap();
        assert_eq!(nodes.delete(&made.metadata).await.unwrap(), Written::Seen);
        assert_eq!((index.named(None, "n2"), server.object::<Node>(None, "n2")), (None, None));
        assert_eq!(nodes.delete(&made.metadata).await.unwrap(), Written::Seen, "it was gone");
        // A finalizer holds this one.
        let held = index.named(None, "n1").unwrap();
        assert_eq!(nodes.delete_seen(&held.metadata).await.unwrap(), Written::Seen);
        let held = index.named(None, "n1").unwrap();
        assert!(held.metadata.deletion_timestamp.is_some());
        let meta = held.metadata.clone();
        let stale = ObjectMeta { resource_version: Some("7".to_owned()), ..meta };
        let stale = nodes.delete_seen(&stale);
        assert!(matches!(stale.await, Err(kube::Error::Api(status)) if status.is_conflict()));
    }

    /// A node that the watch has shown.
    async fn seen() -> (ApiServer, Index<Node, ()>, &'static str) {
        let mut node = Node::default();
        node.metadata.name = Some("n1".to_owned());
        node.metadata.uid = Some("u".to_owned());
        node.metadata.resource_version = Some("7".to_owned());
        node.metadata.finalizers = Some(vec!["theirs".to_owned()]);
        let (server, index) = (ApiServer::default(), Index::new(|_| vec![]));
        server.put(&node);
        let node = Event::InitApply(DeserializeGuard(Ok(node)));
        let list = [Event::Init, node, Event::InitDone].map(Ok);
        Box::pin(index.follow(stream::iter(list))).await.unwrap_err();
        (server, index, "me")
    }
}
