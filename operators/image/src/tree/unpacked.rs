//! An image in its folder.

use super::index::{File, Index};
use crate::{
    digest::Digest,
    respond::Content,
    store::{Readings, Source, pieces},
};
use bytes::Bytes;
use futures::stream::BoxStream;
use std::{
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::task::spawn_blocking;

/// What a file system gives files in, in bytes.
pub(super) const BLOCK: u64 = 4096;

/// An image that was unpacked.
#[derive(Debug)]
pub struct Tree {
    digest: Digest,
    dir: PathBuf,
    index: Index,
    size: u64,
    readings: Readings,
}

impl Tree {
    pub(super) fn new(digest: Digest, dir: PathBuf, index: Index, readings: &Readings) -> Self {
        let blocks = index.files().into_iter().map(|file| file.size.div_ceil(BLOCK));
        let size = blocks.fold(0, u64::saturating_add).saturating_mul(BLOCK);
        Self { digest, dir, index, size, readings: readings.clone() }
    }

    /// The same, of another size.
    #[cfg(test)]
    pub(super) fn with_size(self, size: u64) -> Self {
        Self { size, ..self }
    }

    /// Bytes that its files take on the disk.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Digest of the image's manifest.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The file at a path below `/disk`.
    pub fn find(&self, path: &str) -> Option<File> {
        self.index.find(path)
    }

    /// Where its files are in the folder.
    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    /// Paths of all files, links left out.
    pub fn paths(&self) -> Vec<(String, File)> {
        self.index.paths()
    }

    /// The folder in which its files lie, each by the name that [`File::name`] says.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Opens a file of the image.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub async fn open(&self, file: File) -> io::Result<TreeFile> {
        let path = self.dir.join(file.name());
        let opened =
            spawn_blocking(move || fs::File::open(path)).await.map_err(io::Error::other)??;
        Ok(TreeFile {
            tag: format!("{}.{}", self.digest.hex(), file.number),
            size: file.size,
            source: Source::File(Arc::new(opened)),
            readings: self.readings.clone(),
        })
    }
}

/// A file of an image that was opened.
pub struct TreeFile {
    tag: String,
    size: u64,
    source: Source,
    readings: Readings,
}

impl Content for TreeFile {
    fn tag(&self) -> String {
        self.tag.clone()
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn read(&self, range: Range<u64>) -> BoxStream<'static, io::Result<Bytes>> {
        pieces(&self.source, &self.readings, range, self.size)
    }
}
