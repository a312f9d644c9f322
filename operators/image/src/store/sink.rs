//! Writes incoming data to disk.

use super::{
    disk::{PartialFile, blocking},
    download::Download,
    error::Error,
};
use crate::{
    digest::{Digest, Hasher},
    reference::Name,
    registry,
};
use bytes::{Bytes, BytesMut};
use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc};

/// Block size, in bytes: what is written at once, and what is held back.
pub(super) const BLOCK: usize = 512 << 10;

/// Where the bytes of a download go, block by block: into the hasher and the file.
pub(super) struct Sink<'a> {
    download: &'a Download,
    file: Arc<File>,
    hasher: Option<Hasher>,
    block: BytesMut,
    written: u64,
    pub(super) size: Option<u64>,
}

impl<'a> Sink<'a> {
    pub(super) fn new(digest: &Digest, part: &PartialFile, download: &'a Download) -> Self {
        let hasher = Some(Hasher::new(digest.algorithm()));
        let (file, block) = (Arc::clone(&part.file), BytesMut::with_capacity(BLOCK));
        Self { download, file, hasher, block, written: 0, size: None }
    }

    pub(super) fn received(&self) -> u64 {
        self.written + self.block.len() as u64
    }

    pub(super) fn know(&mut self, size: u64) {
        self.size = Some(size);
        self.download.tell(|progress| progress.size = Some(size));
    }

    pub(super) async fn take(&mut self, mut piece: Bytes) -> Result<(), Error> {
        while !piece.is_empty() {
            let room = BLOCK - self.block.len();
            let now = piece.split_to(room.min(piece.len()));
            self.block.extend_from_slice(&now);
            if self.block.len() == BLOCK {
                self.write().await?;
            }
        }
        Ok(())
    }

    /// Writes the block. All blocks before it become visible; this one does not.
    async fn write(&mut self) -> Result<(), Error> {
        let block = self.block.split().freeze();
        let (file, at) = (Arc::clone(&self.file), self.written);
        let mut hasher = self.hasher.take().ok_or_else(lost)?;
        let length = block.len() as u64;
        let done = blocking(move || {
            hasher.update(&block);
            file.write_all_at(&block, at)?;
            Ok(hasher)
        });
        self.hasher = Some(done.await?);
        self.written += length;
        self.download.tell(|progress| progress.visible = at);
        Ok(())
    }

    /// Returns the total size if the digest matches.
    pub(super) async fn finish(mut self, name: &Name, digest: &Digest) -> Result<u64, Error> {
        self.write().await?;
        let hasher = self.hasher.take().ok_or_else(lost)?;
        if let Some(size) = self.size.filter(|size| *size != self.written) {
            return Err(other_size(name, digest, size, self.written));
        }
        if hasher.finish() != *digest {
            return Err(mismatch(name, digest));
        }
        Ok(self.written)
    }
}

pub(super) fn other_size(name: &Name, digest: &Digest, expected: u64, sent: u64) -> Error {
    Error::Size { registry: name.registry().clone(), digest: digest.clone(), expected, sent }
}

fn mismatch(name: &Name, digest: &Digest) -> Error {
    let (registry, expected) = (name.registry().clone(), digest.clone());
    registry::Error::DigestMismatch { registry, expected }.into()
}

/// A sink is not used again after a failed write.
fn lost() -> Error {
    io::Error::other("a block is missing").into()
}
