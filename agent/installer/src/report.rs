//! What the server and a person at the console are told of the installation.

use crate::fetch::{Client, Transfer};
use metal_api::installation::{InstallPhase, InstallProgress, PROGRESS};
use metal_base::{Chain, Locked};
use std::{
    sync::{Mutex, atomic::Ordering},
    time::Duration,
};
use tokio::time::sleep;

/// How often progress is told.
const EVERY: Duration = Duration::from_secs(10);
/// How often it is tried to tell what nobody would hear of later.
const TRIES: usize = 5;
/// The longest message, in bytes; servers cut longer ones.
const MESSAGE: usize = 500;

/// Tells how far the installation is. Nobody has to listen: it goes on all the same.
#[derive(Debug)]
pub(crate) struct Reporter<'a> {
    client: &'a Client,
    /// How far the disk image has come.
    pub(crate) transfer: Transfer,
    phase: Mutex<InstallPhase>,
}

impl<'a> Reporter<'a> {
    /// Nothing is done yet.
    pub(crate) fn new(client: &'a Client) -> Self {
        Self { client, transfer: Transfer::default(), phase: Mutex::new(InstallPhase::Downloading) }
    }

    /// Goes on to another phase, and tells so.
    pub(crate) async fn enter(&self, phase: InstallPhase) {
        *self.phase.locked() = phase;
        self.tell("").await;
    }

    /// Tells why it does not go on.
    pub(crate) async fn fail(&self, why: &str) {
        *self.phase.locked() = InstallPhase::Failed;
        self.tell(cut(why)).await;
    }

    /// Tells that it is done, and what a person should know of it, if anything.
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

    /// Tells how far it is, again and again.
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

    /// Tells how far it is; returns whether that was heard.
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
