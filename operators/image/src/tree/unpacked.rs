//! An image in its folder.

use super::index::{File, Index};
use crate::digest::Digest;
use std::path::{Path, PathBuf};

/// An image that was unpacked.
#[derive(Debug)]
pub struct Tree {
    digest: Digest,
    dir: PathBuf,
    index: Index,
}

impl Tree {
    pub(super) fn new(digest: Digest, dir: PathBuf, index: Index) -> Self {
        Self { digest, dir, index }
    }

    /// Digest of the image's manifest.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The file at a path below `/disk`.
    pub fn find(&self, path: &str) -> Option<File> {
        self.index.find(path)
    }

    /// Paths of all files, links left out.
    pub fn paths(&self) -> Vec<(String, File)> {
        self.index.paths()
    }

    /// The folder in which its files lie, each by the name that [`File::name`] says.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}
