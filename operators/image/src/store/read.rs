//! Reading of a blob, complete or still arriving.

use super::{disk::blocking, download::Reader, error::Error};
use crate::digest::Digest;
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use std::{
    fs::File,
    io, iter,
    ops::Range,
    os::unix::fs::FileExt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Largest piece to read. A reader's memory is two such pieces and a third that is being sent.
const PIECE: u64 = 128 << 10;
/// Smallest piece to read.
const CRUMB: u64 = 4 << 10;
const PIECES: u64 = 3;
/// Shared by all readers: where there are many, each reads smaller pieces, so that a crowd of slow
/// readers holds little memory.
const SHARED: u64 = 32 << 20;

/// Counts the readers. Clones share their state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readings(Arc<AtomicU64>);

/// One reader.
struct Reading(Readings);

/// A blob, which can be read any number of times.
#[derive(Clone)]
pub struct Blob {
    digest: Digest,
    size: u64,
    source: Source,
    readings: Readings,
}

#[derive(Clone)]
pub(crate) enum Source {
    File(Arc<File>),
    Download(Reader),
}

impl Blob {
    pub(super) fn new(digest: Digest, size: u64, source: Source, readings: Readings) -> Self {
        Self { digest, size, source, readings }
    }

    /// Its digest.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Part of the content. Ends with an error if the download fails or the digest does not match.
    pub fn read(&self, range: Range<u64>) -> BoxStream<'static, io::Result<Bytes>> {
        pieces(&self.source, &self.readings, range, self.size)
    }

    /// The file, once the whole of it has arrived and its digest was verified.
    pub(crate) async fn whole(&self) -> Result<Arc<File>, Error> {
        match &self.source {
            Source::File(file) => Ok(Arc::clone(file)),
            Source::Download(download) => download.readable(self.size).await,
        }
    }
}

/// Part of something that has `size` bytes.
pub(crate) fn pieces(
    source: &Source,
    readings: &Readings,
    range: Range<u64>,
    size: u64,
) -> BoxStream<'static, io::Result<Bytes>> {
    let reading = readings.begin();
    let (mut start, end) = (range.start, range.end.min(size));
    let ranges = iter::from_fn(move || {
        let piece = start..end.min(start.saturating_add(reading.piece()));
        start = piece.end;
        (!piece.is_empty()).then_some(piece)
    });
    let source = source.clone();
    let pieces = stream::iter(ranges).map(move |range| source.clone().piece(range));
    // The next piece is read while this one is being sent.
    Box::pin(pieces.buffered(2))
}

impl Readings {
    fn begin(&self) -> Reading {
        self.0.fetch_add(1, Ordering::Relaxed);
        Reading(self.clone())
    }
}

impl Reading {
    /// How much to read next.
    fn piece(&self) -> u64 {
        let readings = self.0.0.load(Ordering::Relaxed).max(1);
        (SHARED / PIECES / readings).clamp(CRUMB, PIECE)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[tokio::test]
    async fn many_readers_have_small_pieces_and_few_have_large_ones() {
        const SIZE: u64 = 1 << 20;
        let content: Vec<u8> = (0..=250).cycle().take(1 << 20).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        let source = Source::File(Arc::new(file));
        let blob = Blob::new(Digest::of(&content), SIZE, source, Readings::default());
        let first = async || blob.read(0..SIZE).next().await.unwrap().unwrap().len();
        assert_eq!(first().await, 128 << 10);

        let mut crowd = vec![];
        let mut held = 0;
        for _ in 0..4096 {
            let mut reading = blob.read(0..SIZE);
            held += reading.next().await.unwrap().unwrap().len();
            crowd.push(reading);
        }
        // The first readers started while there were few.
        assert!(held * 3 < 192 << 20, "{held}");
        assert_eq!(first().await, 4 << 10);
        drop(crowd);
        assert_eq!(first().await, 128 << 10);

        let mut read = vec![];
        let mut all = blob.read(3..SIZE - 3);
        while let Some(piece) = all.next().await {
            read.extend(piece.unwrap());
        }
        assert_eq!(read, content[3..content.len() - 3]);
    }
}
