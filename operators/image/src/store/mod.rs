//! A cache of blobs on disk, by digest: fetched once for all readers, verified, and limited in
//! size.
//!
//! A blob is served while it is still arriving, except for its last block, which is held back until
//! the digest of the whole has been verified. A reader of a corrupt blob therefore gets an error
//! before the end, never a complete body.

mod account;
mod admitted;
mod disk;
mod download;
mod error;
mod fetch;
mod read;
mod sink;
mod slots;
mod table;

pub use account::Account;
pub use error::Error;
pub use read::Blob;
pub(crate) use read::{Readings, Source, pieces};

use crate::{
    digest::Digest,
    login::Logins,
    reference::Name,
    registry::{Access, Registries},
};
use admitted::Admitted;
use disk::Disk;
use download::{Download, Reader};
use metal_base::Locked;
use slots::Slots;
use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use table::{Found, OldFile, Table};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How many files of an earlier process are verified at a time.
const CHECKS: usize = 2;
/// How long a request waits for a download to start.
const PATIENCE: Duration = Duration::from_mins(1);

/// Who has a blob fetched.
#[derive(Clone, Copy, Debug)]
pub struct Puller<'a> {
    /// With which logins.
    pub logins: &'a Logins,
    /// On whose account.
    pub account: &'a Account,
}

/// A directory of blobs. Cheap to clone; clones share their state.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

struct Shared {
    disk: Disk,
    registries: Arc<Registries>,
    table: Mutex<Table>,
    slots: Slots,
    /// Limits verification.
    checks: Semaphore,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    counts: Counts,
    readings: Readings,
    admitted: Mutex<Admitted>,
}

#[derive(Default)]
struct Counts {
    hits: AtomicU64,
    downloads: AtomicU64,
    failures: AtomicU64,
    bytes: AtomicU64,
}

/// What a store has done since it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Requests that found the blob, or a download of it.
    pub hits: u64,
    /// Downloads started.
    pub downloads: u64,
    /// Downloads that failed.
    pub failures: u64,
    /// Bytes downloaded.
    pub bytes: u64,
    /// Complete blobs on disk.
    pub blobs: u64,
    /// Bytes on disk, including downloads in progress.
    pub size: u64,
}

impl Store {
    /// Opens the directory, creating it if needed, and keeps it below `limit` bytes. Blobs of an
    /// earlier process are reused, and verified before they are first served; unfinished ones are
    /// removed.
    ///
    /// # Errors
    ///
    /// If the directory is not usable, belongs to somebody else, or is in use by another process.
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
            admitted: Mutex::default(),
        })))
    }

    /// The blob `digest` of the image `name`, once its size is known. Starts a download unless the
    /// blob is present or already on its way. The download continues for a while if the caller goes
    /// away, because firmware asks for the size first and for the content later.
    ///
    /// # Errors
    ///
    /// If the registry does not send it, or there is no room for it.
    pub async fn open(&self, name: &Name, digest: &Digest) -> Result<Blob, Error> {
        self.open_for(name, digest, &Account::default()).await
    }

    /// The same on an account, so that no other has to wait for its downloads, or to make room for them.
    ///
    /// # Errors
    ///
    /// As for [`Self::open`]; or if the blob is larger than what the account may download at a time.
    pub async fn open_for(
        &self,
        name: &Name,
        digest: &Digest,
        account: &Account,
    ) -> Result<Blob, Error> {
        let access = Access::anonymous(name);
        self.find(&access, digest, account).await.map(|(blob, _)| blob)
    }

    /// The same with logins, for everybody: the caller decides who gets it, so the registry is not asked about a
    /// blob that is there.
    ///
    /// # Errors
    ///
    /// As for [`Self::open_for`].
    pub async fn open_for_all(
        &self,
        name: &Name,
        digest: &Digest,
        puller: Puller<'_>,
    ) -> Result<Blob, Error> {
        let access = Access::new(name, puller.logins);
        self.find(&access, digest, puller.account).await.map(|(blob, _)| blob)
    }

    /// The same for whoever has these logins, or none. What others have had fetched is given to
    /// them once the registry has said that it would give it to them as well, which is asked again every hour.
    ///
    /// # Errors
    ///
    /// As for [`Self::open_for`]; or if the registry would not, or has never answered that.
    pub async fn open_with(
        &self,
        name: &Name,
        digest: &Digest,
        puller: Puller<'_>,
    ) -> Result<Blob, Error> {
        let access = Access::new(name, puller.logins);
        let (blob, is_ours) = self.find(&access, digest, puller.account).await?;
        if !is_ours && !self.0.admitted.locked().has(&access, digest) {
            let said = self.0.registries.admits(&access, digest).await;
            self.0.admitted.locked().heard(&access, digest, said)?;
        }
        Ok(blob)
    }

    /// Has these blobs, and no others, make room for no other, once they are there.
    pub fn pin(&self, digests: impl IntoIterator<Item = Digest>) {
        self.0.table().pin(digests.into_iter().collect());
    }

    /// The same for whoever has these logins. What others have had fetched is given to them if the registry
    /// would give it to them as well.
    pub(crate) async fn open_as(&self, access: &Access, digest: &Digest) -> Result<Blob, Error> {
        let (blob, is_ours) = self.find(access, digest, &Account::default()).await?;
        if !is_ours {
            self.0.registries.admits(access, digest).await?;
        }
        Ok(blob)
    }

    /// A blob, and whether it was fetched for this.
    async fn find(
        &self,
        access: &Access,
        digest: &Digest,
        account: &Account,
    ) -> Result<(Blob, bool), Error> {
        let shared = &self.0;
        loop {
            // The table must not stay locked while we act on the result.
            let found = shared.table().find_for(digest, account);
            let (download, is_ours) = match found {
                Found::Ready(path) => {
                    let Some(blob) = shared.ready(digest, path).await else { continue };
                    return Ok((blob, false));
                }
                Found::Joined(download) => {
                    shared.counts.hits.fetch_add(1, Ordering::Relaxed);
                    (download, false)
                }
                Found::New(download, old) => {
                    let is_ours = old.is_none();
                    self.spawn(access, digest, &download, old);
                    (download, is_ours)
                }
            };
            let reader = Reader::new(download);
            let size = timeout(PATIENCE, reader.size()).await.map_err(|_| Error::Deadline)??;
            let (digest, readings) = (digest.clone(), shared.readings.clone());
            return Ok((Blob::new(digest, size, Source::Download(reader), readings), is_ours));
        }
    }

    /// What has happened so far.
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

    /// Waits until no download is in progress; they end when the token given to [`Store::open_dir`]
    /// is cancelled.
    pub async fn closed(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Whether the blob is present or on its way.
    pub fn holds(&self, digest: &Digest) -> bool {
        self.0.table().holds(digest)
    }

    /// Whether the whole blob is there, so that nobody has to fetch it.
    pub fn is_complete(&self, digest: &Digest) -> bool {
        self.0.table().is_complete(digest)
    }

    /// Removes a blob that is no longer needed. Current readers are not affected.
    pub(crate) async fn forget(&self, digest: &Digest) {
        let path = self.0.table().forget(digest);
        self.0.disk.remove(path.into_iter().collect()).await;
    }

    /// The size of a blob according to a manifest; `None` if no such manifest was read. A blob of
    /// unknown size can also be fetched, but reserves only what has arrived.
    pub fn knows_size(&self, name: &Name, digest: &Digest) -> Option<u64> {
        self.0.registries.size(name, digest)
    }

    fn spawn(
        &self,
        access: &Access,
        digest: &Digest,
        download: &Arc<Download>,
        old: Option<OldFile>,
    ) {
        let (shared, access, digest) = (Arc::clone(&self.0), access.clone(), digest.clone());
        let download = Arc::clone(download);
        self.0.tasks.spawn(async move { shared.run(&access, &digest, &download, old).await });
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.locked()
    }

    /// Opens a file of the store, unless somebody else removed it.
    async fn ready(&self, digest: &Digest, path: disk::Path) -> Option<Blob> {
        match Disk::read(path.clone()).await {
            Ok((file, size)) => {
                self.counts.hits.fetch_add(1, Ordering::Relaxed);
                let readings = self.readings.clone();
                Some(Blob::new(digest.clone(), size, Source::File(file), readings))
            }
            Err(error) => {
                tracing::warn!(%error, %digest, "cached layer is missing; downloading it again");
                self.table().lose(digest, &path);
                None
            }
        }
    }
}
