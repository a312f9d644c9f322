//! Stores what each open boot window needs.

use super::{
    Boot, Folder, KeptSecret, Metrics, clock_reading,
    file::{self, Head, Unsealed},
    folder::{LARGEST, MOST},
    gather::{BootSnapshot, gather, images},
};
use crate::{
    boot_secret::{BootSecret, Payload},
    secrets::{SecretKey, Secrets},
    view::View,
};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use metal_api::BootWindow;
use metal_base::Locked;
use metal_core::{boot::stored_boot::Validity, capability::Key};
use metal_runtime::{Deferred, queue::Queue, report::Chain};
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    io,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};
use tokio::task::spawn_blocking;

/// When a failed attempt is retried.
const RETRY: Duration = Duration::from_secs(5);
/// How often to check whether a machine has got a lease since, as nothing wakes us for that.
const AGAIN: Duration = Duration::from_secs(20);
/// Limit of all files together, in bytes.
const BYTES: usize = 64 << 20;
/// How many boots are processed at a time.
const CONCURRENCY: usize = 2;

/// Stores what each open boot window needs.
pub(crate) struct Keeper {
    /// What is known of the cluster.
    pub view: Arc<View>,
    /// Secrets of boots.
    pub secrets: Arc<Secrets>,
    /// The boot key.
    pub key: Deferred<Key>,
    /// The folder with the files.
    pub folder: Folder,
    /// Identifier of the current start of the machine.
    pub start: String,
    /// Servers for which something has changed.
    pub queue: Queue<String>,
    /// Metrics.
    pub metrics: Metrics,
    /// What is stored, by file.
    pub written: Written,
}

/// What is stored, by file.
#[derive(Debug, Default)]
pub(crate) struct Written {
    hasher: RandomState,
    files: Mutex<HashMap<String, StoredBoot>>,
}

/// The content of a file.
#[derive(Debug)]
struct StoredBoot {
    hash: u64,
    size: usize,
    /// The window that it was stored for.
    window: BootWindow,
}

/// Why a boot is not stored.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("it is larger than {LARGEST} bytes")]
    Large,
    #[error("too many stored boots")]
    Full,
    #[error(transparent)]
    Unsealed(#[from] Unsealed),
    #[error("could not write its file")]
    Disk(#[from] io::Error),
}

impl Written {
    fn files(&self) -> MutexGuard<'_, HashMap<String, StoredBoot>> {
        self.files.locked()
    }

    /// Whether there is room for `size` bytes in this file.
    fn has_room(&self, file: &str, size: usize) -> bool {
        let files = self.files();
        let others = files.iter().filter(|(name, _)| *name != file);
        let (count, bytes) =
            others.fold((0, 0), |(count, sum), (_, kept)| (count + 1, sum + kept.size));
        count < MOST && bytes + size <= BYTES
    }

    /// Whether the file is for an earlier boot than this one.
    fn is_of_another(&self, file: &str, window: &BootWindow) -> bool {
        self.files().get(file).is_some_and(|kept| kept.window != *window)
    }
}

impl Keeper {
    /// Runs forever, once every list has arrived.
    pub(crate) async fn run(self: Arc<Self>) {
        self.sweep().await;
        let queue = self.queue.clone();
        queue.run(CONCURRENCY, move |server| Arc::clone(&self).pass(server)).await;
    }

    /// Removes the files of boots that are over, and processes all others.
    pub(crate) async fn sweep(&self) {
        let servers = self.view.servers.all();
        let now = Timestamp::now();
        let open = servers.iter().filter(|server| gather(&self.view, server, now).is_some());
        let open: Vec<_> = open.filter_map(|server| server.metadata.name.clone()).collect();
        let names: Vec<_> = open.iter().map(|server| Folder::name_of(server)).collect();
        for server in open {
            self.queue.add(server);
        }
        let folder = self.folder.clone();
        let swept = spawn_blocking(move || {
            let mut over = folder.names()?.into_iter().filter(|name| !names.contains(name));
            over.try_for_each(|name| folder.remove(&name))
        });
        if let Err(error) = swept.await.map_err(io::Error::other).flatten() {
            tracing::warn!(%error, "could not remove stored boots of earlier starts");
        }
    }

    /// Stores what the boot window of a server needs, if it is open. Returns when to look again.
    pub(crate) async fn pass(self: Arc<Self>, server: String) -> Option<Duration> {
        let name = Folder::name_of(&server);
        let found = self.view.servers.named(None, &server);
        let gathered = found.and_then(|found| gather(&self.view, &found, Timestamp::now()));
        let Some(gathered) = gathered else {
            return self.remove(name).await.then_some(RETRY);
        };
        let closes = gathered.closes;
        match self.keep(&name, gathered).await {
            Ok(true) => {
                let left = closes.duration_since(Timestamp::now());
                // It is removed then.
                let left = Duration::try_from(left).unwrap_or_default() + Duration::from_secs(1);
                Some(left.min(AGAIN))
            }
            Ok(false) => Some(RETRY),
            Err(error) => {
                self.metrics.failures.inc();
                tracing::warn!(server, error = %Chain(&error), "could not store a boot on disk");
                // An earlier file may no longer match the boot.
                self.remove(name).await;
                Some(12 * RETRY)
            }
        }
    }

    /// Whether all of it is stored.
    async fn keep(&self, name: &str, gathered: BootSnapshot) -> Result<bool, Failure> {
        let BootSnapshot { mut boot, secrets, window, closes } = gathered;
        // If this process ends before the new boot is stored, the previous one must not be served.
        if self.written.is_of_another(name, &window) && self.remove(name.to_owned()).await {
            return Ok(false);
        }
        let Some(key) = self.key.get() else { return Ok(false) };
        for secret in secrets {
            let Ok(read) = self.secrets.get(&secret.0, &secret.1).await else { return Ok(false) };
            boot.secrets.extend(read.map(|read| kept(secret, &read)));
        }
        let content = serde_json::to_vec(&boot).map_err(Unsealed::from)?;
        // What was sealed with another key cannot be read after the next start.
        let sealing = key.derive(file::LABEL);
        let hash = self.written.hasher.hash_one((&content, closes.as_second(), sealing));
        if self.written.files().get(name).is_some_and(|kept| kept.hash == hash) {
            return Ok(true);
        }
        let times = Validity { kept: clock_reading(&self.start), closes };
        let sealed = file::seal(&key, name, &Head { times, images: texts(&boot) }, &content)?;
        let size = sealed.len();
        if size > LARGEST {
            return Err(Failure::Large);
        }
        if !self.written.has_room(name, size) {
            return Err(Failure::Full);
        }
        let (folder, file) = (self.folder.clone(), name.to_owned());
        spawn_blocking(move || folder.write(&file, &sealed)).await.map_err(io::Error::other)??;
        self.note(|files| files.insert(name.to_owned(), StoredBoot { hash, size, window }));
        Ok(true)
    }

    /// Removes a file. Returns whether that has to be retried.
    async fn remove(&self, name: String) -> bool {
        let (folder, file) = (self.folder.clone(), name.clone());
        let removed = spawn_blocking(move || folder.remove(&file)).await;
        if let Err(error) = removed.map_err(io::Error::other).flatten() {
            tracing::error!(%error, file = name, "could not remove a stored boot that has ended");
            return true;
        }
        self.note(|files| files.remove(&name));
        false
    }

    fn note<T>(&self, change: impl FnOnce(&mut HashMap<String, StoredBoot>) -> T) {
        let mut files = self.written.files();
        change(&mut files);
        self.metrics.kept.set(i64::try_from(files.len()).unwrap_or(i64::MAX));
    }
}

fn kept((namespace, name): SecretKey, secret: &BootSecret) -> KeptSecret {
    let bytes = |bytes: &bytes::Bytes| ByteString(bytes.to_vec());
    let ignition = match &secret.ignition {
        Payload::Usable(ignition) => Some(bytes(ignition)),
        Payload::Missing | Payload::Broken(_) => None,
    };
    KeptSecret { namespace, name, ignition, script: secret.script.as_ref().map(bytes) }
}

fn texts(boot: &Boot) -> Vec<(String, String)> {
    images(boot).into_iter().map(|(name, digest)| (name.to_string(), digest.to_string())).collect()
}
