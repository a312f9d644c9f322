//! A download, and those who wait for it.

use super::{account::Account, error::Error};
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

/// How long a download continues when nobody waits for it. Firmware asks for the size first and
/// reads later, and a client that was cut off comes back.
const GRACE: Duration = Duration::from_mins(1);
/// How often to check whether anybody waits.
const GLANCE: Duration = Duration::from_secs(5);

/// State of a download as its readers see it.
#[derive(Default)]
pub(crate) struct Download {
    /// On whose account it was begun.
    account: Account,
    /// Another account that waits for it, and may have a slot sooner.
    joined: watch::Sender<Option<Account>>,
    file: OnceLock<Arc<File>>,
    progress: watch::Sender<Progress>,
    readers: AtomicUsize,
}

/// Someone who waits for a download, or reads from it.
pub(crate) struct Reader(Arc<Download>);

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
    /// What came of it, once it is over.
    pub(super) end: Option<Result<(), Error>>,
}

impl Download {
    /// Nothing has arrived.
    pub(super) fn new(account: &Account) -> Self {
        Self { account: account.clone(), ..Self::default() }
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    /// Whoever asks for it while it is on its way. The first other account is remembered, or one without
    /// a limit: a download may wait for a slot of two accounts, however many ask.
    pub(super) fn join(&self, account: &Account) {
        if *account == self.account {
            return;
        }
        self.joined.send_if_modified(|joined| {
            let counts = joined.as_ref().is_none_or(|it| it.is_limited() && !account.is_limited());
            if counts {
                *joined = Some(account.clone());
            }
            counts
        });
    }

    /// The account that has joined, once one has.
    pub(super) fn joined(&self) -> watch::Receiver<Option<Account>> {
        self.joined.subscribe()
    }

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

    /// Readers find its bytes in this file.
    pub(super) fn open(&self, file: &Arc<File>) {
        self.file.get_or_init(|| Arc::clone(file));
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
    pub(super) async fn abandoned(&self) {
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
