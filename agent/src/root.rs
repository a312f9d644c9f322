//! The file tree that the collectors read: `/`, or a captured one.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Component, Path, PathBuf},
    str::FromStr,
};

/// No file that a collector reads is larger: `/proc/cpuinfo` of 1,024 threads has 1.5 MiB.
const LIMIT: u64 = 8 << 20;

/// The root of the tree. All paths passed to it are absolute, and resolved below it.
#[derive(Clone, Debug)]
pub struct Root(PathBuf);

/// A file or folder could not be read.
#[derive(Debug, thiserror::Error)]
#[error("could not read {path}")]
pub struct Unreadable {
    /// The path below the root.
    pub path: String,
    source: io::Error,
}

impl Root {
    /// A tree below `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Content of a file, at most 8 MiB of it.
    pub fn bytes(&self, path: &str) -> Result<Vec<u8>, Unreadable> {
        let mut content = Vec::new();
        File::open(self.below(path))
            .and_then(|file| file.take(LIMIT).read_to_end(&mut content))
            .map_err(|source| Unreadable { path: path.to_owned(), source })?;
        Ok(content)
    }

    /// Content of a text file without surrounding space; what is not UTF-8 is replaced.
    pub fn text(&self, path: &str) -> Result<String, Unreadable> {
        Ok(String::from_utf8_lossy(&self.bytes(path)?).trim().to_owned())
    }

    /// Content of a text file, `None` where there is no such file or nothing in it.
    pub fn word(&self, path: &str) -> Option<String> {
        self.text(path).ok().filter(|text| !text.is_empty())
    }

    /// A decimal number in a file.
    pub fn number<T: FromStr>(&self, path: &str) -> Option<T> {
        self.text(path).ok()?.parse().ok()
    }

    /// A hexadecimal number in a file, with or without `0x`.
    pub fn hex(&self, path: &str) -> Option<u32> {
        let text = self.text(path).ok()?;
        u32::from_str_radix(text.trim_start_matches("0x"), 16).ok()
    }

    /// Whether a flag file holds `1`.
    pub fn flag(&self, path: &str) -> bool {
        self.number::<u8>(path) == Some(1)
    }

    /// Whether a file or folder is there.
    pub fn has(&self, path: &str) -> bool {
        self.below(path).exists()
    }

    /// Names in a folder, sorted.
    pub fn names(&self, path: &str) -> Result<Vec<String>, Unreadable> {
        let mut names = fs::read_dir(self.below(path))
            .and_then(|entries| {
                entries
                    .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                    .collect::<io::Result<Vec<_>>>()
            })
            .map_err(|source| Unreadable { path: path.to_owned(), source })?;
        names.sort_unstable();
        Ok(names)
    }

    /// Names of the folders in a folder, without links, sorted; none where it cannot be read.
    pub fn folders(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.below(path)).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let mut names: Vec<_> =
            folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        names
    }

    /// Where a symbolic link of sysfs leads: absolute, below the root, with no link left unless
    /// the target is missing from the tree.
    pub fn target(&self, path: &str) -> Option<String> {
        let link = self.below(path);
        let target = fs::read_link(&link).ok()?;
        let joined = link.parent().map(|parent| normal(&parent.join(&target)))?;
        let real = fs::canonicalize(&link).unwrap_or(joined);
        let root = fs::canonicalize(&self.0).unwrap_or_else(|_| self.0.clone());
        let inside = real.strip_prefix(&root).or_else(|_| real.strip_prefix(&self.0)).ok()?;
        Some(format!("/{}", inside.display()))
    }

    /// Last component of a link's target: the name of a driver, or of a device.
    pub fn target_name(&self, path: &str) -> Option<String> {
        self.target(path)?.rsplit('/').next().map(str::to_owned)
    }

    /// The place of a path in the file tree of this process.
    pub fn below(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }
}

/// The path without `..`, taken literally.
fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut done, component| {
        match component {
            Component::ParentDir => {
                done.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                done.push(component);
            }
        }
        done
    })
}
