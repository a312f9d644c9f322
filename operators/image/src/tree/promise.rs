//! Room for an image while it is being fetched.

use super::{cache, error::Error, state::State, unpacked::Tree};
use crate::digest::Digest;
use std::{
    io,
    sync::{Arc, OnceLock},
};
use tokio::sync::OwnedMutexGuard;

/// Room for an image, given back when this is dropped. Its methods wait for the disk.
pub(super) struct Promise {
    state: Arc<State>,
    digest: Digest,
    refusal: OnceLock<Error>,
}

impl Promise {
    /// Room for an image whose layers have this many bytes.
    ///
    /// # Errors
    ///
    /// There is none, or the disk fails.
    pub(super) fn begin(state: Arc<State>, digest: Digest, layers: u64) -> Result<Self, Error> {
        let promise = Self { state, digest, refusal: OnceLock::new() };
        let Self { state, digest, .. } = &promise;
        let gone = state.table().promise(digest, layers, |it| state.idle_turn(it));
        remove(gone?, digest)?;
        Ok(promise)
    }

    /// So many more bytes of it are about to be written.
    ///
    /// # Errors
    ///
    /// As for [`Self::begin`]; [`Self::refusal`] has the reason.
    pub(super) fn write(&self, bytes: u64) -> io::Result<()> {
        let Self { state, digest, refusal } = self;
        let gone = state.table().write(digest, bytes, |it| state.idle_turn(it));
        gone.and_then(|gone| remove(gone, digest)).map_err(|error| {
            let text = error.to_string();
            // What was missing first is what is reported.
            refusal.set(error).ok();
            io::Error::other(text)
        })
    }

    /// Why there was no more room.
    pub(super) fn refusal(&self) -> Option<Error> {
        self.refusal.get().cloned()
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.state.table().release(&self.digest);
    }
}

/// Removes images that make room for another; whoever fetches one anew begins after that.
fn remove(gone: Vec<(Arc<Tree>, OwnedMutexGuard<()>)>, of: &Digest) -> Result<(), Error> {
    for (tree, _turn) in gone {
        let digest = tree.digest();
        tracing::info!(%digest, %of, "image that no Machine names removed to make room");
        cache::remove(tree.dir())?;
    }
    Ok(())
}
