//! Reports the progress of the installation to the server, and to a person at the console.

use crate::fetch::{Client, Transfer};
use metal_api::installation::{InstallPhase, InstallProgress, PROGRESS};
use metal_base::{Chain, Locked};
use std::{
    sync::{Mutex, atomic::Ordering},
    time::Duration,
};
use tokio::time::sleep;

/// How often progress is reported.
const EVERY: Duration = Duration::from_secs(10);
/// How many times a report is tried that would not be repeated.
const TRIES: usize = 5;
/// The longest message, in bytes; servers cut longer ones.
const MESSAGE: usize = 500;

/// Reports the progress of the installation. It continues even if nobody receives the reports.
#[derive(Debug)]
pub(crate) struct Reporter<'a> {
    client: &'a Client,
    /// Progress of the disk image.
    pub(crate) transfer: Transfer,
    phase: Mutex<InstallPhase>,
}

impl<'a> Reporter<'a> {
    /// Before the first phase.
    pub(crate) fn new(client: &'a Client) -> Self {
        Self { client, transfer: Transfer::default(), phase: Mutex::new(InstallPhase::Downloading) }
    }

    /// Enters another phase, and reports it.
    pub(crate) async fn enter(&self, phase: InstallPhase) {
        *self.phase.locked() = phase;
        self.tell("").await;
    }

    /// Reports why it does not continue.
    pub(crate) async fn fail(&self, why: &str) {
        *self.phase.locked() = InstallPhase::Failed;
        self.tell(cut(why)).await;
    }

    /// Reports that it is complete, with a note for a person, if there is one.
    pub(crate) async fn done(&self, note: &str) {
        *self.phase.locked() = InstallPhase::Done;
        let mut backoff = self.client.timeouts.again();
        for _ in 0..TRIES {
            if self.tell(cut(note)).await || note.is_empty() {
                return;
            }
            sleep(backoff.pause()).await;
        }
    }

    /// Reports progress again and again.
    pub(crate) async fn go_on(&self) -> ! {
        loop {
            sleep(EVERY).await;
            let done = self.transfer.done.load(Ordering::Relaxed) >> 20;
            let total = self.transfer.total.load(Ordering::Relaxed) >> 20;
            tracing::info!(downloaded_mib = done, of_mib = total, "downloading");
            let trouble = self.transfer.trouble.locked().clone();
            self.tell(cut(&trouble)).await;
        }
    }

    /// Reports progress; returns whether the server has received it.
    async fn tell(&self, message: &str) -> bool {
        let phase = *self.phase.locked();
        let total = self.transfer.total.load(Ordering::Relaxed);
        let written = self.transfer.done.load(Ordering::Relaxed);
        let (total, message) = ((total > 0).then_some(total), message.to_owned());
        let body = InstallProgress { phase, written, total, message };
        let Ok(body) = serde_json::to_vec(&body) else { return false };
        let told = self.client.post(PROGRESS, body.into()).await;
        if let Err(error) = &told {
            tracing::debug!(error = %Chain(error), "could not report progress");
        }
        told.is_ok()
    }
}

fn cut(message: &str) -> &str {
    &message[..message.floor_char_boundary(MESSAGE)]
}
