//! Files of the store: `sha256-<hex>.<number>`, and `.part` behind it until it is complete.

use crate::digest::Digest;
use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io,
    path::PathBuf,
    sync::Arc,
    time::SystemTime,
};
use tokio::task::spawn_blocking;

/// Path of a file in the store.
pub(super) type Path = PathBuf;

const PART: &str = "part";

/// The directory, held by this process alone.
pub(super) struct Disk {
    dir: PathBuf,
    _lock: File,
}

/// A complete file of an earlier process.
pub(super) struct Found {
    pub(super) digest: Digest,
    pub(super) path: Path,
    pub(super) size: u64,
    pub(super) sequence: u64,
}

impl Disk {
    /// Opens the directory and lists its complete files, the least recently written first.
    pub(super) async fn open(dir: &std::path::Path) -> io::Result<(Self, Vec<Found>)> {
        let dir = dir.to_owned();
        blocking(move || {
            fs::create_dir_all(&dir)?;
            let lock = File::create(dir.join("lock"))?;
            lock.try_lock().map_err(|_| io::Error::other("another process uses the directory"))?;
            let found = scan(&dir)?;
            Ok((Self { dir, _lock: lock }, found))
        })
        .await
    }

    /// A new file for a download.
    pub(super) async fn create(&self, digest: &Digest, number: u64) -> io::Result<Part> {
        let name = format!("{}-{}.{number}", digest.algorithm().name(), digest.hex());
        let path = self.dir.join(name);
        let part = path.with_added_extension(PART);
        let open = part.clone();
        let file =
            blocking(move || OpenOptions::new().read(true).write(true).create_new(true).open(open));
        Ok(Part { file: Arc::new(file.await?), unfinished: part, complete: path })
    }

    /// Opens a complete file; says its size.
    pub(super) async fn read(path: Path) -> io::Result<(Arc<File>, u64)> {
        blocking(move || {
            let file = File::open(path)?;
            let size = file.metadata()?.len();
            Ok((Arc::new(file), size))
        })
        .await
    }

    /// Removes files. Whoever reads one goes on reading.
    pub(super) async fn remove(&self, paths: Vec<Path>) {
        for path in paths {
            if let Err(error) = tokio::fs::remove_file(&path).await {
                tracing::warn!(%error, path = %path.display(), "cached blob not removed");
            }
        }
    }
}

/// The file of a download.
pub(super) struct Part {
    pub(super) file: Arc<File>,
    unfinished: Path,
    complete: Path,
}

impl Part {
    /// Makes the file complete: after this it survives the machine losing its power.
    pub(super) async fn keep(self) -> io::Result<Path> {
        blocking(move || {
            self.file.sync_all()?;
            fs::rename(&self.unfinished, &self.complete)?;
            Ok(self.complete)
        })
        .await
    }

    /// Removes the file.
    pub(super) async fn discard(self) {
        if let Err(error) = tokio::fs::remove_file(&self.unfinished).await {
            tracing::warn!(%error, path = %self.unfinished.display(), "unfinished blob not removed");
        }
    }
}

fn scan(dir: &std::path::Path) -> io::Result<Vec<Found>> {
    let mut found = vec![];
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let metadata = path.metadata()?;
        if path.extension() == Some(OsStr::new(PART)) {
            fs::remove_file(&path)?;
        } else if let Some((digest, sequence)) = path.file_name().and_then(parse) {
            let written = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            found.push((written, Found { digest, path, size: metadata.len(), sequence }));
        }
    }
    found.sort_by_key(|(written, found)| (*written, found.sequence));
    Ok(found.into_iter().map(|(_, found)| found).collect())
}

fn parse(name: &OsStr) -> Option<(Digest, u64)> {
    let (digest, sequence) = name.to_str()?.split_once('.')?;
    Some((Digest::parse_dashed(digest).ok()?, sequence.parse().ok()?))
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)?
}
