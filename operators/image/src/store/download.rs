//! A download, and those who wait for it.

use super::{
    Shared,
    disk::Disk,
    error::Error,
    sink::{BLOCK, Sink, other_size},
    table::OldFile,
};
use crate::{digest::Digest, reference::Name, registry};
use futures::TryStreamExt;
use std::{
    fs::File,
    ops::Deref,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{sync::watch, time::sleep};

/// A download that has made this much progress gets its retries back.
const PROGRESS: u64 = 256 << 10;
/// How long a download continues when nobody waits for it. Firmware asks for the size first and
/// reads later, and a client that was cut off comes back.
const GRACE: Duration = Duration::from_mins(1);
/// How often to check whether anybody waits.
const GLANCE: Duration = Duration::from_secs(5);
/// A download waits for a registry's rest up to this long.
const LONGEST_REST: Duration = Duration::from_secs(20);
/// Pauses before a broken download is resumed.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(3)];

/// State of a download as its readers see it.
#[derive(Default)]
pub(super) struct Download {
    file: OnceLock<Arc<File>>,
    progress: watch::Sender<Progress>,
    readers: AtomicUsize,
}

/// Someone who waits for a download, or reads from it.
pub(super) struct Reader(Arc<Download>);

impl Reader {
    pub(super) fn new(download: Arc<Download>) -> Self {
        download.readers.fetch_add(1, Ordering::Relaxed);
        Self(download)
    }
}

impl Clone for Reader {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.0))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Deref for Reader {
    type Target = Download;

    fn deref(&self) -> &Download {
        &self.0
    }
}

#[derive(Clone, Default)]
pub(super) struct Progress {
    pub(super) size: Option<u64>,
    /// How many bytes may be read.
    pub(super) visible: u64,
    end: Option<Result<(), Error>>,
}

impl Download {
    /// The size of the blob, once it is known.
    pub(super) async fn size(&self) -> Result<u64, Error> {
        let known = |progress: &Progress| progress.size.is_some() || progress.end.is_some();
        let progress = self.wait(known).await?;
        match (progress.end, progress.size) {
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(())) | None, Some(size)) => Ok(size),
            (Some(Ok(())) | None, None) => Err(Error::Shutdown),
        }
    }

    /// The file, once its first `end` bytes may be read.
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

    /// Returns once nobody has waited for [`GRACE`].
    async fn abandoned(&self) {
        let mut alone = Duration::ZERO;
        while alone < GRACE {
            sleep(GLANCE).await;
            let is_alone = self.readers.load(Ordering::Relaxed) == 0;
            alone = if is_alone { alone + GLANCE } else { Duration::ZERO };
        }
    }

    pub(super) fn tell(&self, change: impl FnOnce(&mut Progress)) {
        self.progress.send_modify(change);
    }
}

impl Shared {
    /// Runs a download to its end, successful or not. A file of an earlier process may take its
    /// place.
    pub(super) async fn run(
        &self,
        name: &Name,
        digest: &Digest,
        download: &Download,
        old: Option<OldFile>,
    ) {
        if let Some(old) = old
            && self.inherit(digest, download, old).await
        {
            return;
        }
        self.counts.downloads.fetch_add(1, Ordering::Relaxed);
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
                // Removed from the table first, so that whoever sees the failure can retry.
                self.table().fail(digest, promised);
                download.tell(|progress| progress.end = Some(Err(error)));
            }
        }
    }

    /// Takes over a file of an earlier process if it matches its digest; removes it otherwise.
    async fn inherit(&self, digest: &Digest, download: &Download, old: OldFile) -> bool {
        let (path, size) = old.clone();
        let checked = async {
            let _turn = self.checks.acquire().await.ok();
            Disk::verified(path.clone(), digest.clone()).await
        };
        let verdict = tokio::select! {
            verdict = checked => verdict,
            () = self.shutdown.cancelled() => Ok(None),
        };
        match verdict {
            Ok(Some(file)) => {
                self.counts.hits.fetch_add(1, Ordering::Relaxed);
                download.file.get_or_init(|| file);
                self.table().finish(digest, path, size, size);
                download.tell(|progress| {
                    *progress = Progress { size: Some(size), visible: size, end: Some(Ok(())) };
                });
                true
            }
            // The file may be good: the next process will check it.
            Ok(None) if self.shutdown.is_cancelled() => false,
            Ok(None) => {
                tracing::warn!(%digest, "cached blob is not what its digest says: removed");
                self.drop_old(old).await;
                false
            }
            Err(error) => {
                tracing::warn!(%error, %digest, "cached blob lost, fetching it again");
                self.drop_old(old).await;
                false
            }
        }
    }

    async fn drop_old(&self, old: OldFile) {
        self.table().reject(&old);
        self.disk.remove(vec![old.0]).await;
    }

    async fn fetch(
        &self,
        name: &Name,
        digest: &Digest,
        download: &Download,
        promised: &mut u64,
    ) -> Result<(super::disk::Path, u64), Error> {
        let mut abandoned = std::pin::pin!(download.abandoned());
        let slot = tokio::select! {
            slot = self.slots.acquire(name.registry()) => slot,
            () = &mut abandoned => return Err(Error::Abandoned),
        };
        let _slot = slot.ok_or(Error::Shutdown)?;
        let number = self.table().number();
        let part = self.disk.create(digest, number).await?;
        download.file.get_or_init(|| Arc::clone(&part.file));
        let mut sink = Sink::new(digest, &part, download);
        let arrived = tokio::select! {
            arrived = self.arrive(name, digest, &mut sink, promised) => arrived,
            () = abandoned => Err(Error::Abandoned),
        };
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
        // Readers do not have to wait for the disk.
        download.tell(|progress| {
            *progress = Progress { size: Some(size), visible: size, end: Some(Ok(())) };
        });
        Ok((part.keep().await?, size))
    }

    /// Receives all of the blob, over several connections if they break.
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
            let transient = match &error {
                // Retrying would only get another slow response.
                Error::Registry(registry::Error::TooSlow { .. }) => false,
                Error::Registry(error) => error.is_transient(),
                _ => false,
            };
            if sink.received() - before >= PROGRESS {
                pauses = PAUSES.into_iter();
            }
            let rest = self.registries.rest(name.registry()).unwrap_or_default();
            match pauses.next().filter(|_| transient && rest <= LONGEST_REST) {
                Some(pause) => sleep(pause.max(rest)).await,
                None => return Err(error),
            }
        }
    }

    /// Receives what one connection brings.
    async fn stream(
        &self,
        name: &Name,
        digest: &Digest,
        sink: &mut Sink<'_>,
        promised: &mut u64,
    ) -> Result<(), Error> {
        let mut incoming = self.registries.blob(name, digest, sink.received()).await?;
        let expected = self.registries.size(name, digest);
        let sent = incoming.length.map(|length| length.saturating_add(incoming.offset));
        if let (Some(expected), Some(sent)) = (expected, sent)
            && expected != sent
        {
            return Err(other_size(name, digest, expected, sent));
        }
        if let (None, Some(size)) = (sink.size, expected.or(sent)) {
            self.table().admit(size)?;
            sink.know(size);
        }
        let mut skip = sink.received() - incoming.offset;
        while let Some(mut piece) = incoming.bytes.try_next().await? {
            let known = skip.min(piece.len() as u64);
            skip -= known;
            let piece = piece.split_off(usize::try_from(known).unwrap_or(usize::MAX));
            let after = sink.received() + piece.len() as u64;
            if let Some(size) = sink.size.filter(|size| after > *size) {
                return Err(other_size(name, digest, size, after));
            }
            if after > *promised {
                // Reserved as bytes arrive: a registry that only announces a size takes no room.
                let next = sink.size.unwrap_or(u64::MAX).min(*promised + BLOCK as u64);
                self.promise(after.max(next) - *promised, promised).await?;
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
