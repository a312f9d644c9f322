//! Files that nobody but root may read. Each is there as a whole, or not at all.

use anyhow::{Context, Result, ensure};
use std::{
    fs::{self, DirBuilder, File},
    io::{ErrorKind, Read, Write},
    os::unix::fs::DirBuilderExt,
    path::Path,
};
use tempfile::NamedTempFile;

/// The longest file that is read, in bytes.
const LONGEST: u64 = 1 << 20;

/// Makes a folder for its owner alone, unless it is there.
pub(crate) fn folder(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| path.display().to_string())
}

/// The file, or `None` if there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let name = || path.display().to_string();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(name),
    };
    let mut bytes = vec![];
    file.take(LONGEST + 1).read_to_end(&mut bytes).with_context(name)?;
    ensure!(u64::try_from(bytes.len())? <= LONGEST, "{}: more than {LONGEST} bytes", name());
    Ok(Some(bytes))
}

/// Writes a file with mode 0600, so that it survives a loss of power.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let name = || path.display().to_string();
    let parent = path.parent().with_context(name)?;
    // Made with mode 0600.
    let mut file = NamedTempFile::new_in(parent).with_context(name)?;
    file.write_all(bytes).with_context(name)?;
    file.as_file().sync_all().with_context(name)?;
    file.persist(path).with_context(name)?;
    File::open(parent).and_then(|folder| folder.sync_all()).with_context(name)
}

/// Removes a file, if it is there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| path.display().to_string())
        }
        _ => Ok(()),
    }
}
