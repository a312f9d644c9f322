//! Files of the store: `sha256-<hex>.<number>`, with the suffix `.part` until they are complete.

use crate::digest::{Digest, Hasher};
use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::PathBuf,
    sync::Arc,
    time::SystemTime,
};
use tokio::task::spawn_blocking;

/// Path of a file in the store.
pub(super) type Path = PathBuf;

const PART: &str = "part";
/// Mode of the directory.
const PRIVATE: u32 = 0o700;
/// Bytes read at a time.
const BLOCK: usize = 512 << 10;

/// The directory, locked by this process.
pub(super) struct Disk {
    dir: PathBuf,
    _lock: File,
}

/// A complete file of an earlier process.
pub(super) struct StoredFile {
    pub(super) digest: Digest,
    pub(super) path: Path,
    pub(super) size: u64,
    pub(super) sequence: u64,
}

impl Disk {
    /// Opens the directory and lists its complete files, least recently written first.
    pub(super) async fn open(dir: &std::path::Path) -> io::Result<(Self, Vec<StoredFile>)> {
        let dir = dir.to_owned();
        blocking(move || {
            let lock = private(&dir)?;
            lock.try_lock()
                .map_err(|_| io::Error::other("the directory is in use by another process"))?;
            let found = scan(&dir)?;
            Ok((Self { dir, _lock: lock }, found))
        })
        .await
    }

    /// Creates a file for a download.
    pub(super) async fn create(&self, digest: &Digest, number: u64) -> io::Result<PartialFile> {
        let name = format!("{}-{}.{number}", digest.algorithm().name(), digest.hex());
        let path = self.dir.join(name);
        let part = path.with_added_extension(PART);
        let open = part.clone();
        let file =
            blocking(move || OpenOptions::new().read(true).write(true).create_new(true).open(open));
        Ok(PartialFile { file: Arc::new(file.await?), unfinished: part, complete: path })
    }

    /// Opens a complete file; returns its size, too.
    pub(super) async fn read(path: Path) -> io::Result<(Arc<File>, u64)> {
        blocking(move || {
            let file = File::open(path)?;
            let size = file.metadata()?.len();
            Ok((Arc::new(file), size))
        })
        .await
    }

    /// Opens a file of an earlier process if it matches its digest.
    pub(super) async fn verified(path: Path, digest: Digest) -> io::Result<Option<Arc<File>>> {
        blocking(move || {
            let mut file = File::open(path)?;
            let mut hasher = Hasher::new(digest.algorithm());
            let mut block = vec![0; BLOCK];
            loop {
                match file.read(&mut block)? {
                    0 => break,
                    read => hasher.update(&block[..read]),
                }
            }
            Ok((hasher.finish() == digest).then(|| Arc::new(file)))
        })
        .await
    }

    /// Removes files. Open readers are not affected.
    pub(super) async fn remove(&self, paths: Vec<Path>) {
        for path in paths {
            if let Err(error) = tokio::fs::remove_file(&path).await {
                tracing::warn!(%error, path = %path.display(), "could not remove a cached layer");
            }
        }
    }
}

/// The file of a download.
pub(super) struct PartialFile {
    pub(super) file: Arc<File>,
    unfinished: Path,
    complete: Path,
}

impl PartialFile {
    /// Completes the file, which from then on survives a power failure. If that fails, it is removed:
    /// nobody would count its bytes any longer.
    pub(super) async fn keep(self) -> io::Result<Path> {
        blocking(move || {
            let kept = self.file.sync_all();
            kept.and_then(|()| fs::rename(&self.unfinished, &self.complete))
                .inspect_err(|_| _ = fs::remove_file(&self.unfinished).ok())?;
            Ok(self.complete)
        })
        .await
    }

    /// Removes the file.
    pub(super) async fn discard(self) {
        if let Err(error) = tokio::fs::remove_file(&self.unfinished).await {
            tracing::warn!(
                %error,
                path = %self.unfinished.display(),
                "could not remove an unfinished download",
            );
        }
    }
}

/// Creates the directory, or makes sure that only we can write to it, and opens its lock.
fn private(dir: &std::path::Path) -> io::Result<File> {
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(PRIVATE).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let metadata = fs::symlink_metadata(dir)?;
    if !metadata.is_dir() {
        let what = if metadata.is_symlink() { "a symbolic link" } else { "not a directory" };
        return Err(io::Error::other(format!("it is {what}: specify the directory itself")));
    }
    let us = ourselves(dir)?;
    if metadata.uid() != us {
        return Err(io::Error::other(format!(
            "it is owned by user {}, but this process runs as user {us}: specify a new directory, \
             for example a subdirectory of it",
            metadata.uid()
        )));
    }
    if metadata.mode() & 0o7777 != PRIVATE {
        fs::set_permissions(dir, Permissions::from_mode(PRIVATE))?;
    }
    let path = dir.join("lock");
    // It may have been placed there before the directory was private, and point anywhere.
    if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::other("its lock is not a regular file: remove it"));
    }
    OpenOptions::new().write(true).create(true).truncate(false).open(path)
}

/// Our user ID, read from the owner of a new file.
fn ourselves(dir: &std::path::Path) -> io::Result<u32> {
    let path = dir.join(format!("owner.{}", std::process::id()));
    // In a container every process has the same ID: an earlier one may have been killed right here.
    fs::remove_file(&path).ok();
    let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    let owner = file.metadata()?.uid();
    fs::remove_file(&path)?;
    Ok(owner)
}

fn scan(dir: &std::path::Path) -> io::Result<Vec<StoredFile>> {
    let mut found = vec![];
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        // Of the entry itself, not of the target of a link.
        let metadata = entry.metadata()?;
        if !metadata.is_file() {
            continue;
        }
        if path.extension() == Some(OsStr::new(PART)) {
            fs::remove_file(&path)?;
        } else if let Some((digest, sequence)) = path.file_name().and_then(parse) {
            let written = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            found.push((written, StoredFile { digest, path, size: metadata.len(), sequence }));
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{chown, symlink};

    #[tokio::test]
    async fn the_directory_is_ours_alone() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("a").join("images");
        drop(Disk::open(&dir).await.unwrap());
        assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o7777, 0o700);
        fs::set_permissions(&dir, Permissions::from_mode(0o777)).unwrap();
        drop(Disk::open(&dir).await.unwrap());
        assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o7777, 0o700);
    }

    #[tokio::test]
    async fn what_a_process_left_that_was_killed_at_its_start_keeps_no_other_from_starting() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(format!("owner.{}", std::process::id())), "").unwrap();
        drop(Disk::open(dir.path()).await.unwrap());
        drop(Disk::open(dir.path()).await.unwrap());
    }

    #[tokio::test]
    async fn a_download_that_cannot_be_kept_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, _) = Disk::open(dir.path()).await.unwrap();
        let part = disk.create(&Digest::of(b"a"), 1).await.unwrap();
        // A file cannot take the place of a directory.
        fs::create_dir(&part.complete).unwrap();
        let unfinished = part.unfinished.clone();
        assert!(unfinished.exists());
        part.keep().await.unwrap_err();
        assert!(!unfinished.exists());
    }

    #[tokio::test]
    async fn a_directory_of_somebody_else_is_refused() {
        let parent = tempfile::tempdir().unwrap();
        let refused =
            async |dir: &std::path::Path| Disk::open(dir).await.map(drop).unwrap_err().to_string();
        let (real, link) = (parent.path().join("real"), parent.path().join("link"));
        fs::create_dir(&real).unwrap();
        symlink(&real, &link).unwrap();
        assert!(refused(&link).await.contains("a symbolic link"));
        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(refused(&file).await.contains("not a directory"));
        symlink("/etc/passwd", real.join("lock")).unwrap();
        assert!(refused(&real).await.contains("its lock is not a regular file"));
        // Only root can give a directory away.
        let theirs = parent.path().join("theirs");
        fs::create_dir(&theirs).unwrap();
        if chown(&theirs, Some(12_345), None).is_ok() {
            assert!(refused(&theirs).await.contains("it is owned by user 12345"));
        }
    }
}
