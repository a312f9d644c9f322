//! What every pass may use.

use crate::{
    args::{Addresses, Urls},
    fetches::Fetches,
    notices::{LastNotices, NoticeKind},
    pull_secret::RegistryLogins,
    secrets::Secrets,
    view::View,
};
use kube::{
    Api, Client, Resource,
    core::NamespaceResourceScope,
    runtime::events::{EventType, Recorder},
};
use metal_core::{boot::configuration::Modes, capability};
use metal_image::Resolver;
use metal_runtime::{
    Deferred, Writer,
    index::Index,
    report::{event, publish},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Debug, hash::Hash, sync::Arc};

/// Field manager of `IPXEBootConfig`s, and of our part of every status; the same as ironcore's.
pub(crate) const MANAGER: &str = "boot.ironcore.dev/controller-manager";
/// Field manager of `HTTPBootConfig`s; the same as ironcore's.
pub(crate) const HTTP_MANAGER: &str = "server-boot-controller";

/// What every pass may use.
pub(crate) struct Context {
    /// The API server.
    pub client: Client,
    /// What is known of the cluster.
    pub view: Arc<View>,
    /// Publisher of events.
    pub recorder: Recorder,
    /// Secrets of boots.
    pub secrets: Arc<Secrets>,
    /// What was reported on objects.
    pub notices: LastNotices,
    /// Images.
    pub images: Arc<Resolver>,
    /// Logins for their registries.
    pub logins: Arc<RegistryLogins>,
    /// What was served and has not been recorded yet.
    pub fetches: Arc<Fetches>,
    /// Architecture of the servers.
    pub architecture: String,
    /// Which ways of booting are enabled.
    pub modes: Modes,
    /// The addresses from which machines may fetch what they boot.
    pub addresses: Addresses,
    /// The URLs at which machines reach this process.
    pub urls: Urls,
    /// Key of the tokens in URLs of UKIs, once it is known: no pass begins before that.
    pub key: Deferred<capability::Key>,
}

impl Context {
    /// Writes objects of one namespace that are in this index, as `manager`.
    pub(crate) fn writer<'a, K, IndexKey>(
        &self,
        index: &'a Index<K, IndexKey>,
        namespace: &str,
        manager: &'a str,
    ) -> Writer<'a, K, IndexKey>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Serialize
            + Debug,
        IndexKey: Eq + Hash,
    {
        Writer::new(Api::namespaced(self.client.clone(), namespace), index, manager)
    }

    /// Reports once a note of this kind on an object: until the note changes, or the object has had
    /// none.
    pub(crate) async fn tell_once<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        kind: NoticeKind,
        note: Option<String>,
    ) {
        let uid = object.meta().uid.clone().unwrap_or_default();
        if self.notices.is_news((uid, kind), note.as_deref()) {
            self.warn(object, kind.reason(), &note.unwrap_or_default()).await;
        }
    }

    /// Reports once what has no effect on a boot configuration or a boot config.
    pub(crate) async fn tell_unsupported<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        lines: &[String],
    ) {
        let note = Some(lines.join("; ")).filter(|note| !note.is_empty());
        self.tell_once(object, NoticeKind::Unsupported, note).await;
    }

    /// Publishes a warning; best effort, because the status is the record.
    pub(crate) async fn warn<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        reason: &str,
        note: &str,
    ) {
        let event = event(EventType::Warning, reason, "Validate", note);
        publish(&self.recorder, &event, &object.object_ref(&())).await;
    }
}
