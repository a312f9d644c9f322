//! The folder with the files, which only this user can access.

use metal_image::Digest;
use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Mode of the folder.
const FOLDER: u32 = 0o700;
/// Mode of a file.
const PRIVATE: u32 = 0o600;
/// Suffix of an incomplete file.
const PART: &str = "part";
/// Largest file.
pub(super) const LARGEST: usize = 4 << 20;
/// Most files that are looked at.
pub(super) const MOST: usize = 4096;
/// Characters in a name.
const NAME: usize = 64;

/// A folder with files of boots.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// Creates the folder, inside one that nobody else may write to.
    ///
    /// # Errors
    ///
    /// If it cannot be created, or is not a folder.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        match DirBuilder::new().mode(FOLDER).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        if !fs::symlink_metadata(path)?.is_dir() {
            return Err(io::Error::other("not a directory"));
        }
        fs::set_permissions(path, Permissions::from_mode(FOLDER))?;
        Ok(Self(path.to_owned()))
    }

    /// The name of the file for a server. It reveals nothing, and contains no path.
    pub(super) fn name_of(server: &str) -> String {
        Digest::of(server.as_bytes()).hex().to_owned()
    }

    /// Names of our files, at most [`MOST`]. Incomplete files are removed.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let is_name = |name: &str| {
                name.len() == NAME && name.bytes().all(|byte| byte.is_ascii_hexdigit())
            };
            if name.strip_suffix(PART).and_then(|name| name.strip_suffix('.')).is_some_and(is_name)
            {
                fs::remove_file(entry.path()).ok();
            } else if is_name(&name) && entry.metadata()?.is_file() && names.len() < MOST {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// The content of a file, unless it is larger than any of ours.
    pub(super) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let largest = u64::try_from(LARGEST).unwrap_or(u64::MAX);
        File::open(self.0.join(name))?.take(largest + 1).read_to_end(&mut bytes)?;
        if bytes.len() > LARGEST {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too large"));
        }
        Ok(bytes)
    }

    /// Writes a file atomically, whatever happens in between.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let (path, part) = (self.0.join(name), self.0.join(name).with_added_extension(PART));
        fs::remove_file(&part).ok();
        let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(&part)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        let written = written.and_then(|()| fs::rename(&part, &path));
        if written.is_err() {
            fs::remove_file(&part).ok();
        }
        written.and_then(|()| File::open(&self.0)?.sync_all())
    }

    /// Removes a file, if it exists.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.0.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}
