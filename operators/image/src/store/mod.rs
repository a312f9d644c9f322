//! Blobs by digest on disk: fetched once however many ask, verified, bounded in size.
//!
//! A blob is handed out while it is still arriving, except for its last block: that one is only
//! handed out once the digest of the whole is right. Whoever reads a blob that turns out wrong
//! gets an error before the end, never a complete body.

mod disk;
mod download;
mod error;
mod read;
mod sink;
mod slots;
mod table;

pub use error::Error;
pub use read::Blob;

use crate::{digest::Digest, reference::Name, registry::Registries};
use disk::Disk;
use download::{Download, Reader};
use read::{Readings, Source};
use slots::Slots;
use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use table::{Found, OldFile, Table};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Files of an earlier process that are looked at at a time.
const CHECKS: usize = 2;
/// How long a request waits for a blob to begin.
const PATIENCE: Duration = Duration::from_mins(1);

/// A directory of blobs. Cheap to clone; clones share their state.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

struct Shared {
    disk: Disk,
    registries: Arc<Registries>,
    table: Mutex<Table>,
    slots: Slots,
    /// Files that are looked at.
    checks: Semaphore,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    counts: Counts,
    readings: Readings,
}

#[derive(Default)]
struct Counts {
    hits: AtomicU64,
    downloads: AtomicU64,
    failures: AtomicU64,
    bytes: AtomicU64,
}

/// What a store did since it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Requests that found the blob, or its download.
    pub hits: u64,
    /// Downloads begun.
    pub downloads: u64,
    /// Downloads that failed.
    pub failures: u64,
    /// Bytes downloaded.
    pub bytes: u64,
    /// Complete blobs on disk.
    pub blobs: u64,
    /// Bytes on disk, those of downloads under way included.
    pub size: u64,
}

impl Store {
    /// Opens the directory, which is created if needed, and keeps it to `limit` bytes. Blobs of an
    /// earlier process are found again, and looked at before one is first handed out; what it left
    /// unfinished is removed.
    ///
    /// # Errors
    ///
    /// If the directory is not usable, somebody else's, or another process uses it.
    pub async fn open_dir(
        dir: &Path,
        limit: u64,
        registries: Arc<Registries>,
        shutdown: CancellationToken,
    ) -> io::Result<Self> {
        let (disk, blobs) = Disk::open(dir).await?;
        let mut table = Table::new(limit);
        disk.remove(table.adopt(blobs)).await;
        Ok(Self(Arc::new(Shared {
            disk,
            registries,
            table: Mutex::new(table),
            slots: Slots::default(),
            checks: Semaphore::new(CHECKS),
            tasks: TaskTracker::new(),
            shutdown,
            counts: Counts::default(),
            readings: Readings::default(),
        })))
    }

    /// The blob `digest` of the image `name`, as soon as its size is known. Begins a download
    /// unless the blob is there, or on its way. The download goes on for a while if the caller goes
    /// away, because firmware asks for a size first, and for the content later.
    ///
    /// # Errors
    ///
    /// If the registry does not give it, or there is no room for it.
    pub async fn open(&self, name: &Name, digest: &Digest) -> Result<Blob, Error> {
        let shared = &self.0;
        loop {
            // The table must not stay locked while something is done about what it says.
            let found = shared.table().find(digest);
            let download = match found {
                Found::Ready(path) => {
                    let Some(blob) = shared.ready(digest, path).await else { continue };
                    return Ok(blob);
                }
                Found::Joined(download) => {
                    shared.counts.hits.fetch_add(1, Ordering::Relaxed);
                    download
                }
                Found::New(download, old) => {
                    self.spawn(name, digest, &download, old);
                    download
                }
            };
            let reader = Reader::new(download);
            let size = timeout(PATIENCE, reader.size()).await.map_err(|_| Error::Deadline)??;
            let (digest, readings) = (digest.clone(), shared.readings.clone());
            return Ok(Blob::new(digest, size, Source::Download(reader), readings));
        }
    }

    /// What happened so far.
    pub fn stats(&self) -> Stats {
        let counts = &self.0.counts;
        let (blobs, size) = self.0.table().size();
        Stats {
            hits: counts.hits.load(Ordering::Relaxed),
            downloads: counts.downloads.load(Ordering::Relaxed),
            failures: counts.failures.load(Ordering::Relaxed),
            bytes: counts.bytes.load(Ordering::Relaxed),
            blobs,
            size,
        }
    }

    /// Waits until no download is under way any more; they end when the token of
    /// [`Store::open_dir`] is cancelled.
    pub async fn closed(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Whether the blob is there, or on its way.
    pub fn holds(&self, digest: &Digest) -> bool {
        self.0.table().holds(digest)
    }

    /// What a manifest says of the size of a blob; `None` if none was read that did. A blob of
    /// unknown size is fetched as well, but counts for as much only as has arrived.
    pub fn knows_size(&self, name: &Name, digest: &Digest) -> Option<u64> {
        self.0.registries.size(name, digest)
    }

    fn spawn(&self, name: &Name, digest: &Digest, download: &Arc<Download>, old: Option<OldFile>) {
        let (shared, name, digest) = (Arc::clone(&self.0), name.clone(), digest.clone());
        let download = Arc::clone(download);
        self.0.tasks.spawn(async move { shared.run(&name, &digest, &download, old).await });
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file of the store, unless somebody removed it behind our back.
    async fn ready(&self, digest: &Digest, path: disk::Path) -> Option<Blob> {
        match Disk::read(path.clone()).await {
            Ok((file, size)) => {
                self.counts.hits.fetch_add(1, Ordering::Relaxed);
                let readings = self.readings.clone();
                Some(Blob::new(digest.clone(), size, Source::File(file), readings))
            }
            Err(error) => {
                tracing::warn!(%error, %digest, "cached blob lost, fetching it again");
                self.table().lose(digest, &path);
                None
            }
        }
    }
}
