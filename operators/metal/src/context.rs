//! What every pass may use.

use crate::{
    MANAGER, bmc_users::BmcUsers, macdb::MacPrefixes, media::Media, memory::Memories, view::View,
};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Api, Client, Resource,
    core::{ClusterResourceScope, NamespaceResourceScope},
    runtime::events::{EventType, Recorder},
};
use metal_core::{bmc::Verification, capability::Key, redfish::Scheme, server::Settings};
use metal_ignition::discovery::IgnitionTemplate;
use metal_runtime::{
    Deferred, Writer,
    election::leadership::Leadership,
    index::Index,
    report::{event, publish},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Debug, hash::Hash, sync::Arc};
use tokio::sync::{
    Semaphore,
    mpsc::{Receiver, Sender},
};

/// What every pass may use.
pub(crate) struct Context<C> {
    /// The API server.
    pub client: Client,
    /// What is known of the cluster.
    pub view: Arc<View>,
    /// Publisher of events.
    pub recorder: Recorder,
    /// The BMCs.
    pub bmcs: C,
    /// Who has a connection to which of them.
    pub users: BmcUsers,
    /// What is remembered about servers between passes; all of it may be lost.
    pub memories: Memories,
    /// The settings that the lifecycle depends on.
    pub settings: Settings,
    /// Scheme of BMCs without one.
    pub default_scheme: Scheme,
    /// How BMCs are authenticated.
    pub verification: Verification,
    /// Whether new servers are held until a person admits them.
    pub holds_new: bool,
    /// How many BMCs that have never answered are read at a time.
    pub unanswered: Semaphore,
    /// The current MAC prefix database.
    pub mac_prefixes: Arc<MacPrefixes>,
    /// What a discovery boots.
    pub discovery: DiscoveryBoot,
    /// Where BMCs read media from, if that is configured.
    pub media: Option<Media>,
    /// Objects that cannot be parsed, to be reported.
    pub unreadable: Sender<Unreadable>,
    /// For how long this process may act.
    pub leadership: Leadership,
}

/// An object that cannot be parsed. It is ignored until it can be.
#[derive(Debug)]
pub(crate) struct Unreadable {
    /// The object.
    pub object: ObjectReference,
    /// What is wrong, with the path of the field.
    pub error: String,
}

/// What a discovery boots.
pub(crate) struct DiscoveryBoot {
    /// Image of the operating system.
    pub os_image: String,
    /// Image of the agent.
    pub probe_image: String,
    /// Where the agent finds the registry.
    pub registry_url: String,
    /// Template of the ignition.
    pub template: IgnitionTemplate,
    /// Key that issues registration tokens, once it is known; nothing is prepared before that.
    pub key: Deferred<Key>,
}

impl<C> Context<C> {
    /// A writer of cluster-scoped objects that are in this index.
    pub(crate) fn writer<'a, K, Key>(&self, index: &'a Index<K, Key>) -> Writer<'a, K, Key>
    where
        K: Resource<DynamicType = (), Scope = ClusterResourceScope>
            + Clone
            + DeserializeOwned
            + Serialize
            + Debug,
        Key: Eq + Hash,
    {
        Writer::new(Api::all(self.client.clone()), index, MANAGER)
    }

    /// Like [`Self::writer`], for objects in one namespace.
    pub(crate) fn writer_in<'a, K, Key>(
        &self,
        index: &'a Index<K, Key>,
        namespace: &str,
    ) -> Writer<'a, K, Key>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Serialize
            + Debug,
        Key: Eq + Hash,
    {
        Writer::new(Api::namespaced(self.client.clone(), namespace), index, MANAGER)
    }

    /// Reports objects that cannot be parsed, forever.
    pub(crate) async fn tell_unreadable(&self, mut objects: Receiver<Unreadable>) {
        while let Some(Unreadable { object, error }) = objects.recv().await {
            let note = format!("ignored until it is corrected: {error}");
            self.publish(&object, EventType::Warning, "Unreadable", note).await;
        }
    }

    /// Publishes an event; best effort, because the status is the record.
    pub(crate) async fn announce<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        type_: EventType,
        reason: &str,
        note: String,
    ) {
        self.publish(&object.object_ref(&()), type_, reason, note).await;
    }

    /// Like `announce`, for an object given by reference.
    pub(crate) async fn publish(
        &self,
        object: &ObjectReference,
        type_: EventType,
        reason: &str,
        note: String,
    ) {
        let event = event(type_, reason, "Transition", &note);
        publish(&self.recorder, &event, object).await;
    }
}
