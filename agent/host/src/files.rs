//! Files that nobody but root may read; errors name them.

use anyhow::{Context, Result, bail};
use metal_base::files;
use std::{
    fs::{File, TryLockError},
    path::Path,
};

/// The longest file that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// Makes a folder for its owner alone, unless it is there.
pub(crate) fn folder(path: &Path) -> Result<()> {
    files::folder(path).with_context(|| path.display().to_string())
}

/// Holds a folder for this process alone, until what is returned is dropped. Nothing is written for that: the disk may
/// be full. Where a file system has no locks, the folder is used all the same.
pub(crate) fn lock(folder: &Path) -> Result<File> {
    let name = || folder.display().to_string();
    let file = File::open(folder).with_context(name)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => bail!("{}: another metal-host runs with it", name()),
        Err(TryLockError::Error(error)) => {
            tracing::warn!(%error, "whether another metal-host runs cannot be told");
        }
    }
    Ok(file)
}

/// The file, or `None` if there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    files::read(path, LONGEST).with_context(|| path.display().to_string())
}

/// Writes a file with mode 0600, so that it survives a loss of power.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    files::write(path, bytes).with_context(|| path.display().to_string())
}

/// Removes a file or a folder, if it is there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    files::remove(path).with_context(|| path.display().to_string())
}
