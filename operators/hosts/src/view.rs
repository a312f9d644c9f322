//! What this process knows of the cluster: one watch per kind.

use kube::{Client, Resource, ResourceExt};
use metal_api::{BootToken, Host, HostRelease};
use metal_runtime::{
    follow,
    health::Readiness,
    index::{Change, Ended, Index, Shares, footprint},
    queue::Queue,
};
use std::{
    collections::{BTreeSet, hash_map::RandomState},
    hash::BuildHasher,
    iter::repeat_with,
    sync::Arc,
};
use tokio::sync::watch;

/// Memory for tokens, of which a tenant may write any number. One takes some 4 KiB.
const TOKENS: Shares = Shares { sure: 1 << 20, namespace: 64 << 20, all: 80 << 20 };
/// The same for releases, without their configurations: some 3 KiB each.
const RELEASES: Shares = Shares { sure: 1 << 20, namespace: 32 << 20, all: 48 << 20 };
/// The same for Hosts, which a tenant may create as well: some 4 KiB each.
const HOSTS: Shares = Shares { sure: 1 << 20, namespace: 32 << 20, all: 48 << 20 };

/// Those who wait for one of the Hosts of a group are woken together.
const GROUPS: usize = 1024;

/// Namespace and name.
pub(crate) type Named = (String, String);

/// By what a token is found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TokenKey {
    /// Its namespace, and the hash of its secret, which counts there alone.
    Hash(String, String),
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
    /// Hosts, by namespace and name of the release that they are to run.
    pub(crate) hosts: Index<Host, Named>,
    /// Releases without what is in their configurations, by namespace and name of their Host.
    pub(crate) releases: Index<HostRelease, Named>,
    /// Of each group of Hosts, changes with what they are to run.
    changed: Vec<watch::Sender<()>>,
    groups: RandomState,
}

impl Default for View {
    fn default() -> Self {
        Self {
            tokens: Index::new(keys).trimmed(trim).bounded(footprint, TOKENS),
            hosts: Index::new(|host: &Host| release_of(host).into_iter().collect())
                .trimmed(trim)
                .bounded(footprint, HOSTS),
            releases: Index::new(|release: &HostRelease| vec![host_of(release)])
                .trimmed(trim_release)
                .bounded(footprint, RELEASES),
            changed: repeat_with(|| watch::Sender::new(())).take(GROUPS).collect(),
            groups: RandomState::new(),
        }
    }
}

fn keys(token: &BootToken) -> Vec<TokenKey> {
    let namespace = token.namespace().unwrap_or_default();
    vec![
        by_hash(token),
        TokenKey::Uid(token.uid().unwrap_or_default()),
        TokenKey::Host(namespace, token.spec.host_name.clone()),
    ]
}

/// What a token and its copies are found by.
pub(crate) fn by_hash(token: &BootToken) -> TokenKey {
    TokenKey::Hash(token.namespace().unwrap_or_default(), token.spec.token_sha256.clone())
}

/// Whoever may write an object may give it large annotations, and any number of finalizers and owners.
pub(crate) fn trim<K: Resource>(object: &mut K) {
    let meta = object.meta_mut();
    meta.annotations = None;
    meta.labels = None;
    meta.managed_fields = None;
    meta.finalizers = None;
    meta.owner_references = None;
}

/// Only whether there is a configuration: a tenant may write thousands of releases.
fn trim_release(release: &mut HostRelease) {
    trim(release);
    if let Some(configuration) = &mut release.spec.configuration {
        configuration.ciphertext = String::new();
    }
}

fn release_of(host: &Host) -> Option<Named> {
    let release = host.spec.active_release.clone()?;
    Some((host.namespace().unwrap_or_default(), release))
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

    /// Changes with what this Host is to run.
    pub(crate) fn changes(&self, host: &Named) -> watch::Receiver<()> {
        self.group(host).subscribe()
    }

    fn group(&self, host: &Named) -> &watch::Sender<()> {
        // What is cut off is as random as what is left.
        let hash = self.groups.hash_one(host).to_ne_bytes();
        let group = usize::from(u16::from_ne_bytes([hash[0], hash[1]])) % GROUPS;
        &self.changed[group]
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
            follow(client, &self.tokens, |change| self.wake_tokens(&change, tokens, hosts)),
            follow(client, &self.hosts, |change| self.wake_hosts(&change, tokens, hosts)),
            follow(client, &self.releases, |change| self.wake_releases(&change, hosts)),
        )
        .map(drop)
    }

    /// The token, those with its hash, and the Host that has registered with it.
    fn wake_tokens(
        &self,
        change: &Change<'_, BootToken>,
        tokens: &Queue<Named>,
        hosts: &Queue<Named>,
    ) {
        told(change);
        for token in change.objects() {
            tokens.add(named(&**token));
            self.tokens.get(&by_hash(token)).iter().for_each(|other| tokens.add(named(&**other)));
            if token.status.as_ref().is_some_and(|status| status.registration.is_some()) {
                hosts.add((token.namespace().unwrap_or_default(), token.spec.host_name.clone()));
            }
        }
    }

    /// The Host, and the tokens of its name.
    fn wake_hosts(&self, change: &Change<'_, Host>, tokens: &Queue<Named>, hosts: &Queue<Named>) {
        told(change);
        // One that is not kept takes its name all the same.
        if let Change::Unreadable { meta, old: None, .. } = change {
            let namespace = meta.namespace.clone().unwrap_or_default();
            let key = TokenKey::Host(namespace, meta.name.clone().unwrap_or_default());
            self.tokens.get(&key).iter().for_each(|token| tokens.add(named(&**token)));
        }
        for host in change.objects() {
            let (namespace, name) = named(&**host);
            let key = TokenKey::Host(namespace.clone(), name.clone());
            self.tokens.get(&key).iter().for_each(|token| tokens.add(named(&**token)));
            let host = (namespace, name);
            // Most changes are reports of the Host itself.
            if change.is_beyond_status() {
                self.group(&host).send_replace(());
            }
            hosts.add(host);
        }
    }

    fn wake_releases(&self, change: &Change<'_, HostRelease>, hosts: &Queue<Named>) {
        told(change);
        let mut told: BTreeSet<_> = change.objects().map(|release| host_of(release)).collect();
        // One that cannot be read, or could not and is gone, does not say whose it is.
        if let Change::Unreadable { meta, old: None, .. } = change {
            let name = (meta.namespace.clone(), meta.name.clone());
            let name = (name.0.unwrap_or_default(), name.1.unwrap_or_default());
            told.extend(self.hosts.get(&name).iter().map(|host| named(&**host)));
        }
        for host in told {
            self.group(&host).send_replace(());
            hosts.add(host);
        }
    }
}

fn told<K: Resource<DynamicType = ()>>(change: &Change<'_, K>) {
    if let Change::Unreadable { meta, error, .. } = change {
        let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
        let kind = K::kind(&());
        tracing::warn!(%kind, namespace, name, error, "ignoring an object that is not kept");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
    use metal_api::{HostReleaseSpec, HostSpec, SealedConfiguration, Sealing};

    #[test]
    fn configurations_of_many_releases_cost_the_server_no_memory() {
        let view = View::default();
        let release = |number: usize| {
            let ciphertext = "A".repeat(200_000);
            let algorithm = Sealing::P256HkdfSha256Aes256Gcm;
            let configuration = Some(SealedConfiguration { algorithm, ciphertext });
            let spec = HostReleaseSpec { configuration, ..HostReleaseSpec::default() };
            let mut release = HostRelease::new(&format!("v{number}"), spec);
            release.metadata.namespace = Some("org".to_owned());
            release
        };
        view.releases.presume((0..100).map(release));
        let all = view.releases.all();
        let kept = all.iter().filter_map(|it| it.spec.configuration.as_ref());
        let kept: Vec<_> = kept.map(|it| it.ciphertext.capacity()).collect();
        assert_eq!(kept, [0; 100], "that there is one is known");
    }

    #[test]
    fn hosts_that_a_tenant_makes_large_or_many_cost_the_server_bounded_memory() {
        let host = |number: usize, key: usize, finalizers: usize| {
            let spec = HostSpec { public_key: "k".repeat(key), ..HostSpec::default() };
            let mut host = Host::new(&format!("web-{number}"), spec);
            host.metadata.namespace = Some("org".to_owned());
            host.metadata.finalizers = Some(vec!["example.org/x".repeat(finalizers / 13)]);
            let owner = OwnerReference { name: "x".repeat(finalizers), ..Default::default() };
            host.metadata.owner_references = Some(vec![owner]);
            host
        };
        let kept = |key: usize, finalizers: usize| {
            let view = View::default();
            view.hosts.presume((0..5000).map(|number| host(number, key, finalizers)));
            let bytes: usize = view.hosts.all().iter().map(|host| footprint(&**host)).sum();
            assert!(bytes <= HOSTS.namespace, "{bytes} bytes");
            view
        };
        assert_eq!(kept(200, 100_000).hosts.len(), 5000, "what is not used takes no room");
        let view = kept(20_000, 0);
        assert!(view.hosts.len() < 2000);
        assert!(view.hosts.is_withdrawn(Some("org"), "web-4999"), "it is known that there is one");
    }

    #[test]
    fn a_host_is_told_of_its_release_also_if_that_cannot_be_read() {
        let (view, hosts) = (View::default(), Queue::default());
        let mut host = Host::new(
            "web-1",
            HostSpec { active_release: Some("v1".into()), ..HostSpec::default() },
        );
        host.metadata.namespace = Some("org".to_owned());
        view.hosts.presume([host]);
        let mut waits = view.changes(&("org".to_owned(), "web-1".to_owned()));
        for (name, is_woken) in [("v1", true), ("v2", false)] {
            let (namespace, name) = (Some("org".to_owned()), Some(name.to_owned()));
            let meta = ObjectMeta { namespace, name, ..ObjectMeta::default() };
            waits.mark_unchanged();
            let change = Change::Unreadable { meta: &meta, error: "too large", old: None };
            view.wake_releases(&change, &hosts);
            assert_eq!(waits.has_changed().unwrap(), is_woken);
        }
    }

    #[test]
    fn who_waits_for_a_release_is_not_woken_by_what_its_host_reports() {
        let (view, tokens, hosts) = (View::default(), Queue::default(), Queue::default());
        let host = |generation| {
            let mut host = Host::new("web-1", HostSpec::default());
            host.metadata.namespace = Some("org".to_owned());
            host.metadata.generation = Some(generation);
            Arc::new(host)
        };
        let (old, new, same) = (host(1), host(2), host(2));
        let mut waits = view.changes(&("org".to_owned(), "web-1".to_owned()));
        let mut changed = |old, new| {
            waits.mark_unchanged();
            view.wake_hosts(&Change::Applied { old: Some(old), new }, &tokens, &hosts);
            waits.has_changed().unwrap()
        };
        assert!(changed(&old, &new), "it is to run something else");
        assert!(!changed(&new, &same));
    }
}
