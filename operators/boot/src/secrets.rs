//! Secrets of boots: read on demand, cached for a short time, never logged.
//!
//! A copy of every Secret in the cluster would be large and dangerous. Only those that boots need
//! are cached here, translated once. A watch on the metadata of Secrets reports changes; where
//! watching is not allowed, each is read again when it is needed. During an outage of the API
//! server, machines get what was read last.

use crate::boot_secret::{BootSecret, IGNITION, Payload, SCRIPT};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use metal_base::Locked;
use metal_core::{
    boot::{Ignition, Unavailable},
    pull_secret::is_name,
};
use metal_runtime::OkIf;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::OnceCell,
    time::{Instant, timeout},
};

/// How long a Secret is considered current, should the watch be interrupted.
const LIFETIME: Duration = Duration::from_secs(30);
/// The same without a watch: a request shortly after should see a change.
const UNWATCHED: Duration = Duration::from_secs(1);
/// How long a Secret is cached that nobody asks for.
const KEPT: Duration = Duration::from_hours(24);
/// How long a machine waits for the API server if there is a cached Secret to give it.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time limit of a request for a Secret.
const DEADLINE: Duration = Duration::from_secs(10);
/// Limit of all cached Secrets, in bytes.
const MAX_BYTES: usize = 64 << 20;
/// Limit of the number of cached Secrets.
const MAX_SECRETS: usize = 4096;

/// Namespace and name.
pub(crate) type SecretKey = (String, String);

type Cell = Arc<OnceCell<Option<Arc<BootSecret>>>>;

/// The state of a Secret.
struct Entry {
    cell: Cell,
    /// When it was requested from the API server.
    since: Instant,
    /// When a boot last asked for it.
    used: Instant,
    /// What was read before.
    last: Option<Arc<BootSecret>>,
    /// Whether an earlier process has read it.
    is_presumed: bool,
}

/// Cached Secrets.
pub(crate) struct Secrets {
    client: Client,
    kept: Mutex<HashMap<SecretKey, Entry>>,
    is_watched: AtomicBool,
}

impl Secrets {
    /// An empty cache.
    pub(crate) fn new(client: Client) -> Self {
        Self { client, kept: Mutex::default(), is_watched: AtomicBool::new(true) }
    }

    /// Sets whether every change is reported from now on ([`Self::forget_unless`]); returns whether
    /// it was until now.
    pub(crate) fn set_watched(&self, is_watched: bool) -> bool {
        self.is_watched.swap(is_watched, Ordering::Relaxed)
    }

    /// What a boot needs of a Secret; `None` if the Secret does not exist. Concurrent callers share
    /// one request.
    ///
    /// # Errors
    ///
    /// Those of the API server.
    pub(crate) async fn get(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Arc<BootSecret>>, kube::Error> {
        let (cell, last) = self.cell((namespace.to_owned(), name.to_owned()));
        let reading = cell.get_or_try_init(|| self.read(namespace, name));
        let Some(last) = last else { return reading.await.cloned() };
        if let Ok(Ok(secret)) = timeout(PATIENCE, reading).await {
            return Ok(secret.clone());
        }
        tracing::warn!(
            namespace,
            name,
            "the API server is unreachable: using the Secret as last read"
        );
        // Others need not wait for it as well. If one was faster, its result counts.
        cell.set(Some(Arc::clone(&last))).ok();
        Ok(Some(last))
    }

    /// A Secret that an earlier process has read: machines get it during an outage of the API
    /// server.
    pub(crate) fn presume(&self, key: SecretKey, secret: BootSecret) {
        let now = Instant::now();
        let mut kept = self.kept();
        if !kept.contains_key(&key) {
            make_room(&mut kept, now);
            let last = Some(Arc::new(secret));
            kept.insert(key, Entry { is_presumed: true, ..Entry::new(now, last) });
        }
    }

    /// Forgets what an earlier process has read.
    pub(crate) fn forget_presumed(&self) {
        self.kept().retain(|_, entry| !entry.is_presumed);
    }

    /// Forgets a Secret unless this version of it was read.
    pub(crate) fn forget_unless(&self, key: &SecretKey, version: Option<&str>) {
        let mut kept = self.kept();
        let known = kept.get(key).and_then(|entry| entry.secret()?.version.clone());
        if version.is_none() || known.as_deref() != version {
            kept.remove(key);
        }
    }

    /// The state of the ignition that a boot needs.
    ///
    /// # Errors
    ///
    /// Those of the API server.
    pub(crate) async fn ignition(
        &self,
        namespace: &str,
        name: Option<&str>,
    ) -> Result<Ignition, kube::Error> {
        let Some(name) = name else { return Ok(Ignition::None) };
        let unavailable = |reason, message| Ok(Ignition::Unusable(Unavailable { reason, message }));
        let field = "spec.ignitionSecretRef";
        match self.get(namespace, name).await?.as_deref() {
            None => unavailable("SecretNotFound", absent(field, namespace, name)),
            Some(BootSecret { ignition: Payload::Usable(_), .. }) => Ok(Ignition::Usable),
            Some(BootSecret { ignition: Payload::Missing, .. }) => {
                unavailable("KeyMissing", no_entry(field, namespace, name, IGNITION))
            }
            Some(BootSecret { ignition: Payload::Broken(why), .. }) => {
                let message =
                    format!("{field}: Secret {namespace}/{name}, entry {IGNITION}: {why}");
                unavailable("IgnitionUnsupported", message)
            }
        }
    }

    /// What is passed on as it is, although it was most likely meant to be translated: a line for an
    /// event, without the content.
    pub(crate) async fn untranslated(&self, namespace: &str, name: Option<&str>) -> Option<String> {
        let name = name?;
        // Whoever needs the ignition fails with the error.
        let secret = self.get(namespace, name).await.ok()??;
        let why = secret.untranslated?;
        Some(format!("spec.ignitionSecretRef: Secret {namespace}/{name}: {why}"))
    }

    /// What is wrong with a boot's own script, if it has one.
    ///
    /// # Errors
    ///
    /// Those of the API server.
    pub(crate) async fn script(
        &self,
        namespace: &str,
        name: Option<&str>,
    ) -> Result<Option<Unavailable>, kube::Error> {
        let Some(name) = name else { return Ok(None) };
        let field = "spec.ipxeScriptSecretRef";
        Ok(match self.get(namespace, name).await?.as_deref() {
            None => {
                let message = absent(field, namespace, name);
                Some(Unavailable { reason: "SecretNotFound", message })
            }
            Some(BootSecret { script: None, .. }) => {
                let message = no_entry(field, namespace, name, SCRIPT);
                Some(Unavailable { reason: "KeyMissing", message })
            }
            Some(BootSecret { script: Some(_), .. }) => None,
        })
    }

    async fn read(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Arc<BootSecret>>, kube::Error> {
        // A tenant writes the name, and it becomes a part of a path, which a proxy in front of the API server may
        // shorten: `../../NAMESPACE/secrets/NAME` would be a Secret of somebody else. None has such a name.
        if !is_name(name) {
            return Ok(None);
        }
        let api = Api::<Secret>::namespaced(self.client.clone(), namespace);
        let late = |_| kube::Error::Service("the API server took too long".into());
        let secret = timeout(DEADLINE, api.get(name)).await.map_err(late)?;
        Ok(secret.ok_if_not_found()?.map(BootSecret::of).map(Arc::new))
    }

    /// Where a Secret is read into, and what was read before.
    fn cell(&self, key: SecretKey) -> (Cell, Option<Arc<BootSecret>>) {
        let now = Instant::now();
        let is_watched = self.is_watched.load(Ordering::Relaxed);
        let lifetime = if is_watched { LIFETIME } else { UNWATCHED };
        let mut kept = self.kept();
        if let Some(entry) = kept.get_mut(&key) {
            entry.used = now;
            let is_outdated = now.duration_since(entry.since) >= lifetime;
            if is_outdated {
                let last = entry.secret().map(Arc::clone);
                let is_presumed = entry.is_presumed;
                *entry = Entry { cell: Cell::default(), since: now, used: now, last, is_presumed };
            }
            let found = (Arc::clone(&entry.cell), entry.last.clone());
            if is_outdated {
                // What was read before may have been smaller.
                make_room(&mut kept, now);
            }
            return found;
        }
        make_room(&mut kept, now);
        let cell = Cell::default();
        kept.insert(key, Entry { cell: Arc::clone(&cell), ..Entry::new(now, None) });
        (cell, None)
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<SecretKey, Entry>> {
        self.kept.locked()
    }
}

/// Drops unused Secrets and, if that is not enough, the least recently used ones.
fn make_room(kept: &mut HashMap<SecretKey, Entry>, now: Instant) {
    kept.retain(|_, entry| now.duration_since(entry.used) < KEPT);
    let mut bytes = kept.values().map(Entry::size).sum::<usize>();
    if kept.len() < MAX_SECRETS && bytes <= MAX_BYTES {
        return;
    }
    let mut by_use: Vec<_> =
        kept.iter().map(|(key, entry)| (entry.used, key.clone(), entry.size())).collect();
    by_use.sort_unstable();
    for (_, key, size) in by_use {
        // Drops some more, so that this is not repeated for each.
        if kept.len() < MAX_SECRETS / 8 * 7 && bytes <= MAX_BYTES / 8 * 7 {
            break;
        }
        kept.remove(&key);
        bytes -= size;
    }
}

impl Entry {
    fn new(now: Instant, last: Option<Arc<BootSecret>>) -> Self {
        Self { cell: Cell::default(), since: now, used: now, last, is_presumed: false }
    }

    /// The result of the last read.
    fn secret(&self) -> Option<&Arc<BootSecret>> {
        match self.cell.get() {
            Some(read) => read.as_ref(),
            None => self.last.as_ref(),
        }
    }

    fn size(&self) -> usize {
        let read = self.cell.get().and_then(Option::as_ref);
        read.into_iter().chain(&self.last).map(|secret| secret.size()).sum()
    }
}

fn absent(field: &str, namespace: &str, name: &str) -> String {
    format!("{field}: Secret {namespace}/{name} not found: create it")
}

fn no_entry(field: &str, namespace: &str, name: &str, entry: &str) -> String {
    format!("{field}: Secret {namespace}/{name} has no entry {entry}: add it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Cluster;
    use http::{Request, Response, StatusCode};
    use kube::client::Body;
    use metal_runtime::testing::ApiServer;
    use std::convert::Infallible;

    #[tokio::test(start_paused = true)]
    async fn secrets_that_grow_after_they_were_read_take_no_more_room() {
        let secrets = Secrets::new(Cluster::default().client());
        secrets.set_watched(false);
        let large = bytes::Bytes::from(vec![b' '; MAX_BYTES / 16]);
        for script in [bytes::Bytes::new(), large.clone()] {
            for index in 0..40 {
                let (cell, _) = secrets.cell(("tenant".to_owned(), index.to_string()));
                let read = Arc::new(BootSecret::kept(None, Some(script.clone())));
                cell.set(Some(read)).ok();
            }
            tokio::time::advance(UNWATCHED).await;
        }
        let bytes = secrets.kept().values().map(Entry::size).sum::<usize>();
        assert!(bytes <= MAX_BYTES + large.len(), "{bytes}");
    }

    #[tokio::test]
    async fn a_name_that_leads_elsewhere_is_asked_of_nobody_and_is_no_secret() {
        let server = ApiServer::default();
        let secrets = Secrets::new(server.client("default"));
        for name in ["../../other/secrets/a", "..", "a/b", "a?watch=1", "A"] {
            let found = secrets.ignition("tenant", Some(name)).await.unwrap();
            let is_absent =
                matches!(&found, Ignition::Unusable(why) if why.reason == "SecretNotFound");
            assert!(is_absent, "{name}");
        }
        assert!(server.sent().is_empty());
        secrets.ignition("tenant", Some("web-1.ignition")).await.unwrap();
        assert_eq!(server.sent().len(), 1);
    }

    #[tokio::test]
    async fn a_secret_is_not_gone_because_a_proxy_in_place_of_the_api_server_has_no_page() {
        let proxy = tower::service_fn(async |_: Request<Body>| {
            let mut page = Response::new(Body::from(b"404 page not found".to_vec()));
            *page.status_mut() = StatusCode::NOT_FOUND;
            Ok::<_, Infallible>(page)
        });
        let secrets = Secrets::new(Client::new(proxy, "default"));
        assert!(secrets.get("tenant", "a").await.is_err());
    }

    #[test]
    fn secrets_that_are_kept_have_a_bound_in_number_and_in_bytes() {
        let start = Instant::now();
        for (number, size) in [(MAX_SECRETS + MAX_SECRETS / 4, 1), (40, MAX_BYTES / 16)] {
            let script = bytes::Bytes::from(vec![b' '; size]);
            let mut kept = HashMap::new();
            for index in 0..number {
                let used = start + Duration::from_millis(u64::try_from(index).unwrap());
                let secret = Arc::new(BootSecret::kept(None, Some(script.clone())));
                make_room(&mut kept, used);
                kept.insert(
                    ("tenant".to_owned(), index.to_string()),
                    Entry::new(used, Some(secret)),
                );
            }
            let bytes = kept.values().map(Entry::size).sum::<usize>();
            assert!(kept.len() <= MAX_SECRETS, "{}", kept.len());
            assert!(bytes <= MAX_BYTES + size, "{bytes}");
            let last = ("tenant".to_owned(), (number - 1).to_string());
            assert!(kept.contains_key(&last), "the latest is there");
            assert!(!kept.contains_key(&("tenant".to_owned(), "0".to_owned())), "the oldest went");
        }
    }
}
