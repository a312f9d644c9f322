//! What this process knows of the cluster: one watch per kind.

use kube::{Client, Resource, ResourceExt};
use metal_api::{BootToken, Host, HostRelease};
use metal_runtime::{
    follow,
    health::Readiness,
    index::{Change, Ended, Index},
    queue::Queue,
};
use std::sync::Arc;
use tokio::sync::watch;

/// Namespace and name.
pub(crate) type Named = (String, String);

/// By what a token is found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TokenKey {
    /// The hash of its secret.
    Hash(String),
    /// Its UID.
    Uid(String),
    /// Namespace and name of its Host.
    Host(String, String),
}

/// Every kind that is looked at.
#[derive(Debug)]
pub(crate) struct View {
    /// Tokens.
    pub(crate) tokens: Index<BootToken, TokenKey>,
    /// Hosts, by name.
    pub(crate) hosts: Index<Host, ()>,
    /// Releases, by namespace and name of their Host.
    pub(crate) releases: Index<HostRelease, Named>,
    /// Changes with every Host and every release.
    changed: watch::Sender<u64>,
}

impl Default for View {
    fn default() -> Self {
        Self {
            tokens: Index::new(keys).trimmed(trim),
            hosts: Index::new(|_: &Host| vec![]).trimmed(trim),
            releases: Index::new(|release: &HostRelease| vec![host_of(release)]).trimmed(trim),
            changed: watch::Sender::new(0),
        }
    }
}

fn keys(token: &BootToken) -> Vec<TokenKey> {
    let namespace = token.namespace().unwrap_or_default();
    vec![
        TokenKey::Hash(token.spec.token_sha256.clone()),
        TokenKey::Uid(token.uid().unwrap_or_default()),
        TokenKey::Host(namespace, token.spec.host_name.clone()),
    ]
}

/// Whoever may write an object may give it large annotations.
fn trim<K: Resource>(object: &mut K) {
    let meta = object.meta_mut();
    meta.annotations = None;
    meta.labels = None;
    meta.managed_fields = None;
}

fn host_of(release: &HostRelease) -> Named {
    (release.namespace().unwrap_or_default(), release.spec.host_name.clone())
}

/// Namespace and name of an object.
pub(crate) fn named<K: Resource>(object: &K) -> Named {
    let meta = object.meta();
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

impl View {
    /// Whether every token and every Host is listed: until then a miss means nothing.
    pub(crate) fn is_ready(&self) -> bool {
        self.tokens.is_ready() && self.hosts.is_ready() && self.releases.is_ready()
    }

    /// Waits for lists that came after the last doubt.
    pub(crate) async fn listed(&self) {
        tokio::join!(self.tokens.listed(), self.hosts.listed(), self.releases.listed());
    }

    /// What is here may be old.
    pub(crate) fn doubt(&self) {
        self.tokens.doubt();
        self.hosts.doubt();
        self.releases.doubt();
    }

    /// Tells for which lists the process waits.
    pub(crate) fn register(self: &Arc<Self>, readiness: &Readiness) {
        let [tokens, hosts, releases] = [(); 3].map(|()| Arc::clone(self));
        readiness.check("tokens", "the list of BootTokens", move || tokens.tokens.is_ready());
        readiness.check("hosts", "the list of Hosts", move || hosts.hosts.is_ready());
        readiness
            .check("releases", "the list of HostReleases", move || releases.releases.is_ready());
    }

    /// Changes with every Host and every release.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Follows every kind, and wakes what a change concerns.
    ///
    /// # Errors
    ///
    /// When a watch ends, which none does by itself.
    pub(crate) async fn watch(
        &self,
        client: &Client,
        tokens: &Queue<Named>,
        hosts: &Queue<Named>,
    ) -> Result<(), Ended> {
        tokio::try_join!(
            follow(client, &self.tokens, |change| self.wake_tokens(&change, tokens)),
            follow(client, &self.hosts, |change| self.wake_hosts(&change, tokens, hosts)),
            follow(client, &self.releases, |change| self.wake_releases(&change, hosts)),
        )
        .map(drop)
    }

    /// The token, and those with its hash.
    fn wake_tokens(&self, change: &Change<'_, BootToken>, queue: &Queue<Named>) {
        told(change);
        for token in change.objects() {
            queue.add(named(&**token));
            let hash = TokenKey::Hash(token.spec.token_sha256.clone());
            self.tokens.get(&hash).iter().for_each(|other| queue.add(named(&**other)));
        }
    }

    /// The Host, and the tokens of its name.
    fn wake_hosts(&self, change: &Change<'_, Host>, tokens: &Queue<Named>, hosts: &Queue<Named>) {
        told(change);
        for host in change.objects() {
            let (namespace, name) = named(&**host);
            let key = TokenKey::Host(namespace.clone(), name.clone());
            self.tokens.get(&key).iter().for_each(|token| tokens.add(named(&**token)));
            hosts.add((namespace, name));
        }
        self.changed.send_modify(|times| *times = times.wrapping_add(1));
    }

    fn wake_releases(&self, change: &Change<'_, HostRelease>, hosts: &Queue<Named>) {
        told(change);
        change.objects().for_each(|release| hosts.add(host_of(release)));
        self.changed.send_modify(|times| *times = times.wrapping_add(1));
    }
}

fn told<K: Resource<DynamicType = ()>>(change: &Change<'_, K>) {
    if let Change::Unreadable { meta, error, .. } = change {
        let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
        let kind = K::kind(&());
        tracing::warn!(%kind, namespace, name, error, "object does not parse; it is left alone");
    }
}
