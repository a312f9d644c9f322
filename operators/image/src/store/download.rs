//! One download, and everybody who waits for it.

use super::{
    Shared,
    disk::{Part, blocking},
    error::Error,
};
use crate::{
    digest::{Digest, Hasher},
    reference::Name,
    registry,
};
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::{Arc, OnceLock, atomic::Ordering},
    time::Duration,
};
use tokio::{sync::watch, time::sleep};

/// Bytes written, and held back, at a time.
const BLOCK: usize = 512 << 10;
/// Pauses before a broken download goes on where it was.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(3)];

/// State of a download, for those who wait.
#[derive(Default)]
pub(super) struct Download {
    file: OnceLock<Arc<File>>,
    progress: watch::Sender<Progress>,
}

#[derive(Clone, Default)]
struct Progress {
    size: Option<u64>,
    /// Bytes that may be read.
    visible: u64,
    end: Option<Result<(), Error>>,
}

impl Download {
    /// Size of the blob, as soon as it is known.
    pub(super) async fn size(&self) -> Result<u64, Error> {
        let known = |progress: &Progress| progress.size.is_some() || progress.end.is_some();
        let progress = self.wait(known).await?;
        match (progress.end, progress.size) {
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(())) | None, Some(size)) => Ok(size),
            (Some(Ok(())) | None, None) => Err(Error::Shutdown),
        }
    }

    /// The file, once `end` bytes of it may be read.
    pub(super) async fn readable(&self, end: u64) -> Result<Arc<File>, Error> {
        let reached = |progress: &Progress| progress.visible >= end || progress.end.is_some();
        let progress = self.wait(reached).await?;
        if let Some(Err(error)) = progress.end {
            return Err(error);
        }
        self.file.get().cloned().ok_or(Error::Shutdown)
    }

    async fn wait(&self, until: impl Fn(&Progress) -> bool) -> Result<Progress, Error> {
        let mut progress = self.progress.subscribe();
        let reached = progress.wait_for(until).await;
        // The sender lives as long as `self`.
        reached.map(|progress| progress.clone()).map_err(|_| Error::Shutdown)
    }

    fn tell(&self, change: impl FnOnce(&mut Progress)) {
        self.progress.send_modify(change);
    }
}

impl Shared {
    /// Runs a download to its end, good or bad.
    pub(super) async fn run(&self, name: &Name, digest: &Digest, download: &Download) {
        let mut promised = 0;
        let fetched = tokio::select! {
            fetched = self.fetch(name, digest, download, &mut promised) => fetched,
            () = self.shutdown.cancelled() => Err(Error::Shutdown),
        };
        match fetched {
            Ok((path, size)) => {
                tracing::info!(%name, %digest, size, "image layer cached");
                self.table().finish(digest, path, size, promised);
            }
            Err(error) => {
                tracing::warn!(%name, %digest, %error, "image layer not cached");
                self.counts.failures.fetch_add(1, Ordering::Relaxed);
                // First out of the table, so that whoever sees the failure can try again.
                self.table().fail(digest, promised);
                download.tell(|progress| progress.end = Some(Err(error)));
            }
        }
    }

    async fn fetch(
        &self,
        name: &Name,
        digest: &Digest,
        download: &Download,
        promised: &mut u64,
    ) -> Result<(super::disk::Path, u64), Error> {
        let _slot = self.slots.acquire().await.map_err(|_| Error::Shutdown)?;
        let number = self.table().number();
        let part = self.disk.create(digest, number).await?;
        download.file.get_or_init(|| Arc::clone(&part.file));
        let mut sink = Sink::new(digest, &part, download);
        let arrived = self.arrive(name, digest, &mut sink, promised).await;
        let verified = match arrived {
            Ok(()) => sink.finish(name, digest).await,
            Err(error) => Err(error),
        };
        let size = match verified {
            Ok(size) => size,
            Err(error) => {
                part.discard().await;
                return Err(error);
            }
        };
        // Nobody who reads has to wait for the disk.
        download.tell(|progress| {
            *progress = Progress { size: Some(size), visible: size, end: Some(Ok(())) };
        });
        Ok((part.keep().await?, size))
    }

    /// Everything that the registry sends, over several connections if they break.
    async fn arrive(
        &self,
        name: &Name,
        digest: &Digest,
        sink: &mut Sink<'_>,
        promised: &mut u64,
    ) -> Result<(), Error> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let before = sink.received();
            let error = match self.stream(name, digest, sink, promised).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let transient = matches!(&error, Error::Registry(e) if e.is_transient());
            if sink.received() > before {
                pauses = PAUSES.into_iter();
            }
            match pauses.next().filter(|_| transient) {
                Some(pause) => sleep(pause).await,
                None => return Err(error),
            }
        }
    }

    /// What one connection brings.
    async fn stream(
        &self,
        name: &Name,
        digest: &Digest,
        sink: &mut Sink<'_>,
        promised: &mut u64,
    ) -> Result<(), Error> {
        let mut incoming = self.registries.blob(name, digest, sink.received()).await?;
        if let (None, Some(length)) = (sink.size, incoming.length) {
            self.promise(length, promised).await?;
            sink.know(length);
        }
        let mut skip = sink.received() - incoming.offset;
        while let Some(mut piece) = incoming.bytes.try_next().await? {
            let known = skip.min(piece.len() as u64);
            skip -= known;
            let piece = piece.split_off(usize::try_from(known).unwrap_or(usize::MAX));
            let after = sink.received() + piece.len() as u64;
            if sink.size.is_some_and(|size| after > size) {
                return Err(mismatch(name, digest));
            }
            if after > *promised {
                self.promise(after.max(*promised + BLOCK as u64) - *promised, promised).await?;
            }
            self.counts.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
            sink.take(piece).await?;
        }
        Ok(())
    }

    async fn promise(&self, size: u64, promised: &mut u64) -> Result<(), Error> {
        let surplus = self.table().reserve(size)?;
        *promised += size;
        self.disk.remove(surplus).await;
        Ok(())
    }
}

/// Where the bytes of a download go: into the hasher and the file, block by block.
struct Sink<'a> {
    download: &'a Download,
    file: Arc<File>,
    hasher: Option<Hasher>,
    block: BytesMut,
    written: u64,
    size: Option<u64>,
}

impl<'a> Sink<'a> {
    fn new(digest: &Digest, part: &Part, download: &'a Download) -> Self {
        let hasher = Some(Hasher::new(digest.algorithm()));
        let (file, block) = (Arc::clone(&part.file), BytesMut::with_capacity(BLOCK));
        Self { download, file, hasher, block, written: 0, size: None }
    }

    fn received(&self) -> u64 {
        self.written + self.block.len() as u64
    }

    fn know(&mut self, size: u64) {
        self.size = Some(size);
        self.download.tell(|progress| progress.size = Some(size));
    }

    async fn take(&mut self, mut piece: Bytes) -> Result<(), Error> {
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

    /// Writes the block. All blocks before it become visible, it does not.
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

    /// The size of the whole, if it is what its digest says.
    async fn finish(mut self, name: &Name, digest: &Digest) -> Result<u64, Error> {
        self.write().await?;
        let hasher = self.hasher.take().ok_or_else(lost)?;
        if hasher.finish() != *digest || self.size.is_some_and(|size| size != self.written) {
            return Err(mismatch(name, digest));
        }
        Ok(self.written)
    }
}

fn mismatch(name: &Name, digest: &Digest) -> Error {
    let (registry, expected) = (name.registry().clone(), digest.clone());
    registry::Error::DigestMismatch { registry, expected }.into()
}

/// After a failed write the sink is not used again.
fn lost() -> Error {
    io::Error::other("a block was lost").into()
}
