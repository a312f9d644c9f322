//! Downloads a blob, over several connections if they break.

use super::{
    Shared,
    account::{Account, Reserved},
    disk::{Disk, Path},
    download::{Download, Progress},
    error::Error,
    sink::{BLOCK, Sink, other_size},
    slots::Slot,
    table::OldFile,
};
use crate::{
    digest::Digest,
    reference::Registry,
    registry::{self, Access},
};
use futures::TryStreamExt;
use metal_base::{Chain, Locked};
use std::{sync::atomic::Ordering, time::Duration};
use tokio::time::sleep;

/// A download that has made this much progress gets its retries back.
const PROGRESS: u64 = 256 << 10;
/// A download waits for a registry's rest up to this long.
const LONGEST_REST: Duration = Duration::from_secs(20);
/// Pauses before a broken download is resumed.
const PAUSES: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(3)];

impl Shared {
    /// Runs a download to its end, successful or not. A file of an earlier process may take its
    /// place.
    pub(super) async fn run(
        &self,
        access: &Access,
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
        let name = access.name();
        let mut promised = Reserved::none(download.account());
        let fetched = tokio::select! {
            fetched = self.fetch(access, digest, download, &mut promised) => fetched,
            () = self.shutdown.cancelled() => Err(Error::Shutdown),
        };
        match fetched {
            Ok((path, size)) => {
                tracing::info!(%name, %digest, size, "image layer cached");
                self.table().finish(digest, path, size, &promised);
                // It has sent all of it.
                self.admitted.locked().insert(access, digest);
            }
            Err(error) => {
                tracing::warn!(
                    %name,
                    %digest,
                    error = %Chain(&error),
                    "could not cache an image layer",
                );
                self.counts.failures.fetch_add(1, Ordering::Relaxed);
                // Removed from the table first, so that whoever sees the failure can retry.
                self.table().fail(digest, &promised);
                // A size that was not admitted may be any.
                let known = self.registries.size(name, digest).filter(|_| promised.size > 0);
                self.relieve(&error, known.unwrap_or(promised.size).max(1)).await;
                download.tell(|progress| progress.end = Some(Err(error)));
            }
        }
    }

    /// If the disk is full before the store is, what was used least recently makes room for the next
    /// attempt.
    async fn relieve(&self, error: &Error, size: u64) {
        if !error.is_disk_full() {
            return;
        }
        let mut surplus = vec![];
        {
            let mut table = self.table();
            let least = table.size().1.saturating_sub(size);
            while table.size().1 > least {
                let Some(path) = table.evict() else { break };
                surplus.push(path);
            }
        }
        tracing::warn!(
            removed = surplus.len(),
            "the disk of the image cache is full: give its volume more room than --image-cache-size",
        );
        self.disk.remove(surplus).await;
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
                download.open(&file);
                self.table().confirm(digest, (path, size));
                download.tell(|progress| {
                    *progress = Progress { size: Some(size), visible: size, end: Some(Ok(())) };
                });
                true
            }
            // The file may be good: the next process will check it.
            Ok(None) if self.shutdown.is_cancelled() => false,
            Ok(None) => {
                tracing::warn!(%digest, "removed a corrupted layer from the cache");
                self.drop_old(old).await;
                false
            }
            Err(error) => {
                tracing::warn!(%error, %digest, "cached layer is missing; downloading it again");
                self.drop_old(old).await;
                false
            }
        }
    }

    async fn drop_old(&self, old: OldFile) {
        self.table().reject(&old);
        self.disk.remove(vec![old.0]).await;
    }

    /// A slot of the other account that waits for a download: whoever was the first to ask keeps it from
    /// nobody.
    async fn slot_of_joined(
        &self,
        registry: &Registry,
        download: &Download,
    ) -> (Option<Slot>, Account) {
        let mut joined = download.joined();
        loop {
            // The sender lives as long as the download.
            let Ok(account) = joined.wait_for(Option::is_some).await.map(|it| it.clone()) else {
                return std::future::pending().await;
            };
            let account = account.unwrap_or_default();
            tokio::select! {
                slot = self.slots.acquire(registry, &account) => return (slot, account),
                _ = joined.changed() => {}
            }
        }
    }

    async fn fetch(
        &self,
        access: &Access,
        digest: &Digest,
        download: &Download,
        promised: &mut Reserved,
    ) -> Result<(Path, u64), Error> {
        let name = access.name();
        let mut abandoned = std::pin::pin!(download.abandoned());
        let registry = name.registry();
        let slot = tokio::select! {
            slot = self.slots.acquire(registry, download.account()) => slot,
            (slot, account) = self.slot_of_joined(registry, download) => {
                *promised = Reserved::none(&account);
                slot
            }
            () = &mut abandoned => return Err(Error::Abandoned),
        };
        let _slot = slot.ok_or(Error::Shutdown)?;
        let number = self.table().number();
        let part = self.disk.create(digest, number).await?;
        download.open(&part.file);
        let mut sink = Sink::new(digest, &part, download);
        let arrived = tokio::select! {
            arrived = self.arrive(access, digest, &mut sink, promised) => arrived,
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
        access: &Access,
        digest: &Digest,
        sink: &mut Sink<'_>,
        promised: &mut Reserved,
    ) -> Result<(), Error> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let before = sink.received();
            let error = match self.stream(access, digest, sink, promised).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let transient = match &error {
                // Retrying would only get another slow response.
                Error::Registry(registry::Error::TooSlow { .. }) => false,
                Error::Registry(error) => error.is_transient(),
                _ => false,
            };
            // Only the end of the response was lost: a registry has no more to send.
            if transient && sink.size == Some(sink.received()) {
                return Ok(());
            }
            if sink.received() - before >= PROGRESS {
                pauses = PAUSES.into_iter();
            }
            let rest = self.registries.rest(access).unwrap_or_default();
            match pauses.next().filter(|_| transient && rest <= LONGEST_REST) {
                Some(pause) => sleep(pause.max(rest)).await,
                None => return Err(error),
            }
        }
    }

    /// Receives what one connection brings.
    async fn stream(
        &self,
        access: &Access,
        digest: &Digest,
        sink: &mut Sink<'_>,
        promised: &mut Reserved,
    ) -> Result<(), Error> {
        let name = access.name();
        let mut incoming = self.registries.blob_as(access, digest, sink.received()).await?;
        let expected = self.registries.size(name, digest);
        let sent = incoming.length.map(|length| length.saturating_add(incoming.offset));
        if let (Some(expected), Some(sent)) = (expected, sent)
            && expected != sent
        {
            return Err(other_size(name, digest, expected, sent));
        }
        if let (None, Some(size)) = (sink.size, expected.or(sent)) {
            self.table().admit(size, &promised.account)?;
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
            if after > promised.size {
                // Reserved as bytes arrive: a registry that only announces a size takes no room.
                let next = sink.size.unwrap_or(u64::MAX).min(promised.size + BLOCK as u64);
                self.promise(after.max(next) - promised.size, promised).await?;
            }
            self.counts.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
            sink.take(piece).await?;
        }
        Ok(())
    }

    async fn promise(&self, size: u64, promised: &mut Reserved) -> Result<(), Error> {
        let surplus = self.table().reserve(size, promised)?;
        self.disk.remove(surplus).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{registry::Registries, store::Store};
    use std::{fs, io, sync::Arc};
    use tokio_util::sync::CancellationToken;

    #[tokio::test]
    async fn a_disk_that_is_full_before_the_store_is_gets_room_by_the_least_recently_used_blob() {
        let dir = tempfile::tempdir().unwrap();
        let file = |content: &[u8], number: u8| {
            let digest = Digest::of(content);
            let name = format!("{}-{}.{number}", digest.algorithm().name(), digest.hex());
            let path = dir.path().join(name);
            fs::write(&path, content).unwrap();
            path
        };
        let (oldest, other) = (file(b"old!", 1), file(b"new!", 2));
        let registries = Registries::new(&registry::Config::default()).unwrap();
        let (registries, shutdown) = (Arc::new(registries), CancellationToken::new());
        let store = Store::open_dir(dir.path(), 1000, registries, shutdown).await.unwrap();
        let failure = |kind: io::ErrorKind| Error::from(io::Error::from(kind));
        store.0.relieve(&failure(io::ErrorKind::PermissionDenied), 4).await;
        assert!(oldest.exists() && other.exists());
        store.0.relieve(&failure(io::ErrorKind::StorageFull), 4).await;
        assert!(!oldest.exists() && other.exists());
        assert_eq!((store.stats().blobs, store.stats().size), (1, 4));
        store.0.relieve(&failure(io::ErrorKind::QuotaExceeded), 10).await;
        assert_eq!((store.stats().blobs, store.stats().size), (0, 0));
    }
}
