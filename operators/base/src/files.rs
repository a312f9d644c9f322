//! Files that nobody but their owner may read. Each is there as a whole, or not at all, also after a
//! loss of power.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, Permissions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

/// Read and written by its owner alone.
const PRIVATE: u32 = 0o600;
/// The same of a folder.
const PRIVATE_FOLDER: u32 = 0o700;

/// Makes a folder for its owner alone, unless it is there.
///
/// # Errors
///
/// If it cannot be made.
pub fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(PRIVATE_FOLDER).create(path)
}

/// The file, or `None` if there is none.
///
/// # Errors
///
/// If it cannot be read, or has more than `most` bytes.
pub fn read(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = vec![];
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("more than {most} bytes")));
    }
    Ok(Some(bytes))
}

/// Writes a file with mode 0600: beside its place as `.NAME.new`, moved there once it is on the disk.
/// One process at a time may write it.
///
/// # Errors
///
/// If it cannot be written; then the one that was there still is.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let none = || io::Error::new(ErrorKind::InvalidInput, "it is not the path of a file");
    let (folder, name) = (path.parent().ok_or_else(none)?, path.file_name().ok_or_else(none)?);
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(".new");
    let beside = folder.join(beside);
    let mut options = File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(PRIVATE).open(&beside)?;
    // It may be left from before, with another mode.
    file.set_permissions(Permissions::from_mode(PRIVATE))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(folder)?.sync_all()
}

/// Removes a file, or a folder with all that is in it, if it is there.
///
/// # Errors
///
/// If it cannot be removed.
pub fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_its_owner_alone_reads_it() {
        let scratch = tempfile::tempdir().unwrap();
        let inner = scratch.path().join("a/b");
        folder(&inner).unwrap();
        folder(&inner).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(&inner), 0o700);
        let path = inner.join("file");
        assert_eq!(read(&path, 9).unwrap(), None);
        // Killed in the middle of a write, with a mode of its own.
        let beside = inner.join(".file.new");
        fs::write(&beside, "half of it, and longer").unwrap();
        fs::set_permissions(&beside, Permissions::from_mode(0o644)).unwrap();
        write(&path, b"whole").unwrap();
        assert_eq!(read(&path, 5).unwrap().as_deref(), Some(&b"whole"[..]));
        assert_eq!((mode(&path), fs::read_dir(&inner).unwrap().count()), (0o600, 1));
        assert_eq!(read(&path, 4).unwrap_err().to_string(), "more than 4 bytes");
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_the_one_that_was_there() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("file");
        write(&path, b"before").unwrap();
        fs::create_dir(scratch.path().join(".file.new")).unwrap();
        assert!(write(&path, b"after").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"before");
        assert!(write(Path::new("/"), b"").is_err());
    }

    #[test]
    fn what_is_removed_may_be_gone_already() {
        let scratch = tempfile::tempdir().unwrap();
        let (file, inner) = (scratch.path().join("file"), scratch.path().join("folder"));
        fs::write(&file, "").unwrap();
        fs::create_dir_all(inner.join("deep")).unwrap();
        for path in [&file, &inner, &file] {
            remove(path).unwrap();
            assert!(!path.exists());
        }
    }
}
