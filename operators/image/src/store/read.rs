//! Reading a blob, complete or on its way.

use super::{disk::blocking, download::Reader};
use crate::digest::Digest;
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use std::{fs::File, io, ops::Range, os::unix::fs::FileExt, sync::Arc};

/// Bytes read at a time. Two such pieces are all the memory that a reader needs.
const PIECE: u64 = 128 << 10;

/// A blob that can be read, any number of times.
#[derive(Clone)]
pub struct Blob {
    digest: Digest,
    size: u64,
    source: Source,
}

#[derive(Clone)]
pub(super) enum Source {
    File(Arc<File>),
    Download(Reader),
}

impl Blob {
    pub(super) fn new(digest: Digest, size: u64, source: Source) -> Self {
        Self { digest, size, source }
    }

    /// Its digest.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Some of its bytes. Ends with an error if the download fails, or the digest is wrong.
    pub fn read(&self, range: Range<u64>) -> BoxStream<'static, io::Result<Bytes>> {
        let range = range.start..range.end.min(self.size);
        let starts = stream::iter(range.clone().step_by(128 << 10));
        let source = self.source.clone();
        let pieces = starts.map(move |start| {
            let (source, end) = (source.clone(), range.end.min(start + PIECE));
            async move { source.piece(start..end).await }
        });
        // The next piece is read while this one is sent.
        Box::pin(pieces.buffered(2))
    }
}

impl Source {
    async fn piece(self, range: Range<u64>) -> io::Result<Bytes> {
        let file = match self {
            Self::File(file) => file,
            Self::Download(download) => {
                download.readable(range.end).await.map_err(io::Error::other)?
            }
        };
        let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
        blocking(move || {
            let mut piece = vec![0; length];
            file.read_exact_at(&mut piece, range.start)?;
            Ok(piece.into())
        })
        .await
    }
}
