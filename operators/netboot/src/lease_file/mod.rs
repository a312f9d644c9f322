//! The leases on disk: a log to which every lease is appended before its client is told.
//!
//! ```text
//! append ─► commit (write) ─► answers            every second: hand it to the disk
//!              │ fails: what was written of it is cut off, nobody is answered
//!              ▼
//! much longer than the leases need: a fresh log is written beside it and takes its place
//! ```
//!
//! A write that has returned survives the death of the process. After a power failure, the log may
//! end in the middle of a line; the complete lines count.

mod compaction;

use compaction::{Compaction, Finished};
use metal_dhcp::lease::{Lease, record};
use std::{
    fmt::Display,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    str::FromStr,
};
use tokio::task::{JoinHandle, spawn_blocking};

/// How many lines more than twice the number of leases a log may have.
const SLACK: usize = 10_000;
/// After how many calls of `maintain`, which are a second apart, a fresh log is tried again that could not be
/// written: while it is tried, it takes the room that the old one needs.
const AGAIN: u32 = 60;

/// A log of leases, with the exclusive right to write it.
#[derive(Debug)]
pub(crate) struct LeaseFile {
    path: PathBuf,
    /// Held for as long as `self` lives, because the log itself is replaced now and then.
    _lock: File,
    file: File,
    /// Length of what has been committed.
    len: u64,
    lines: usize,
    pending: String,
    pending_lines: usize,
    /// A write failed, and what it left could not be cut off.
    is_torn: bool,
    unsynced: bool,
    /// The log was created or replaced, and its folder has not been synchronized since.
    is_unplaced: bool,
    sync: Option<JoinHandle<io::Result<()>>>,
    compaction: Option<Compaction>,
    /// Calls of `maintain` until a fresh log may be tried again.
    rests: u32,
}

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// Another process uses it.
    #[error(
        "--lease-file {}: in use by another process; use a separate file for each",
        path.display(),
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read or written.
    #[error("--lease-file {}: could not be opened", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

impl LeaseFile {
    /// Opens or creates a log, and returns the leases in it.
    ///
    /// # Errors
    ///
    /// If it cannot be read and written, or another process uses it.
    pub(crate) fn open<A: FromStr>(path: &Path) -> Result<(Self, Vec<Lease<A>>), Error> {
        let failed = |source| Error::Io { path: path.to_owned(), source };
        let lock = lock(path)?;
        compaction::remove_leftover(path).map_err(failed)?;
        let mut file = open(path).map_err(failed)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        let replay = record::replay(&bytes);
        if replay.damaged > 0 {
            let path = path.display();
            tracing::error!(
                %path,
                lines = replay.damaged,
                "skipped damaged lines of the lease file",
            );
        }
        let len = replay.end as u64;
        cut(&mut file, len).map_err(failed)?;
        let log = Self {
            path: path.to_owned(),
            _lock: lock,
            file,
            len,
            lines: replay.leases.len() + replay.damaged,
            pending: String::new(),
            pending_lines: 0,
            is_torn: false,
            unsynced: true,
            is_unplaced: true,
            sync: None,
            compaction: None,
            rests: 0,
        };
        Ok((log, replay.leases))
    }

    /// Adds a lease to the next commit.
    pub(crate) fn append<A: Display>(&mut self, lease: &Lease<A>) {
        record::write(&mut self.pending, lease);
        self.pending_lines += 1;
    }

    /// Whether the next commit has anything to write.
    pub(crate) fn is_pending(&self) -> bool {
        self.pending_lines > 0
    }

    /// Writes what was appended since the last commit, completely or not at all.
    ///
    /// # Errors
    ///
    /// If it could not be written; then what was appended is dropped.
    pub(crate) fn commit(&mut self) -> io::Result<()> {
        let lines = std::mem::take(&mut self.pending_lines);
        if lines == 0 {
            return Ok(());
        }
        let written = self.write();
        if written.is_ok() {
            self.len += self.pending.len() as u64;
            self.lines += lines;
            self.unsynced = true;
            if let Some(compaction) = &mut self.compaction {
                compaction.missed(&self.pending, lines);
            }
        }
        self.pending.clear();
        written
    }

    fn write(&mut self) -> io::Result<()> {
        if self.is_torn {
            cut(&mut self.file, self.len)?;
            self.is_torn = false;
        }
        self.file.write_all(self.pending.as_bytes()).inspect_err(|_| {
            self.is_torn = cut(&mut self.file, self.len).is_err();
        })
    }

    /// Periodic work: synchronizes the log to disk, and replaces it when it has grown too long for
    /// this many leases. `leases` are those that a fresh log must contain; they are only requested
    /// if there is one. Call within a tokio runtime.
    ///
    /// # Errors
    ///
    /// If something that an earlier call has started failed. It is retried, a fresh log after a while.
    pub(crate) async fn maintain<'a, A, I>(
        &mut self,
        count: usize,
        leases: impl FnOnce() -> I,
    ) -> io::Result<()>
    where
        A: Display + 'a,
        I: ExactSizeIterator<Item = &'a Lease<A>>,
    {
        self.finish_sync().await?;
        self.rests = self.rests.saturating_sub(1);
        self.finish_compaction().await?;
        if self.sync.is_none() && std::mem::take(&mut self.unsynced) {
            let file = self.file.try_clone()?;
            let folder = self.is_unplaced.then(|| folder(&self.path));
            self.is_unplaced = false;
            self.sync = Some(spawn_blocking(move || sync(&file, folder.as_deref())));
        }
        // Later leases of an address replace earlier ones, so the fresh log is never longer.
        let is_too_long = self.lines > 2 * count + SLACK;
        if self.compaction.is_none() && self.rests == 0 && is_too_long {
            self.compaction = Some(Compaction::start(&self.path, leases()));
        }
        Ok(())
    }

    async fn finish_sync(&mut self) -> io::Result<()> {
        let Some(sync) = self.sync.take_if(|sync| sync.is_finished()) else { return Ok(()) };
        sync.await.map_err(io::Error::other)?.inspect_err(|_| {
            (self.unsynced, self.is_unplaced) = (true, true);
        })
    }

    async fn finish_compaction(&mut self) -> io::Result<()> {
        let Some(compaction) = self.compaction.take_if(|it| it.is_written()) else {
            return Ok(());
        };
        let finished = compaction.finish(&self.path).await;
        let Finished { file, len, lines } = finished.inspect_err(|_| self.rests = AGAIN)?;
        let before = self.lines;
        (self.file, self.len, self.lines) = (file, len, lines);
        (self.is_torn, self.unsynced, self.is_unplaced) = (false, true, true);
        tracing::info!(before, after = lines, "lease file compacted");
        Ok(())
    }

    /// Makes every write fail from now on, like a full disk.
    #[cfg(test)]
    pub(crate) fn fail_writes(&mut self) {
        self.file = File::open(&self.path).unwrap();
    }

    /// Synchronizes everything to disk before the end.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub(crate) fn close(self) -> io::Result<()> {
        sync(&self.file, Some(&folder(&self.path)))
    }
}

/// Locks a separate file: the log is replaced now and then, and a lock belongs to a file.
fn lock(path: &Path) -> Result<File, Error> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let failed = |source| Error::Io { path: path.to_owned(), source };
    let file = OpenOptions::new().create(true).append(true).open(name).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// The folder of a file.
fn folder(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new(".")).to_owned()
}

/// Synchronizes a log to disk, and its entry in the folder.
fn sync(file: &File, folder: Option<&Path>) -> io::Result<()> {
    file.sync_data()?;
    match folder.map_or(Ok(()), |folder| File::open(folder)?.sync_all()) {
        // Some network file systems do not support this.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        placed => placed,
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)
}

/// Cuts off what comes after `len`, and seeks to the end.
fn cut(file: &mut File, len: u64) -> io::Result<()> {
    file.set_len(len)?;
    file.seek(SeekFrom::Start(len)).map(drop)
}

#[cfg(test)]
mod tests;
