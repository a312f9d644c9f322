//! Keys for async code: the TPM is used on threads that may block.

use crate::{Keys, Tpm, TpmError, TpmLocation};
use metal_attest::client::EkTemplate;
use tokio::task::spawn_blocking;

/// Keys that are flushed by a thread that may block, even if what follows fails.
#[derive(Debug)]
pub struct Held(Option<Keys>);

impl Held {
    /// Opens the TPM at this location, and creates its keys.
    ///
    /// # Errors
    ///
    /// If the TPM fails.
    pub async fn create(place: &TpmLocation, template: EkTemplate) -> Result<Self, TpmError> {
        let place = place.clone();
        let keys = spawn_blocking(move || Keys::create(Tpm::open(&place)?, template)).await??;
        Ok(Self(Some(keys)))
    }

    /// The keys; `None` if the thread of an earlier call has panicked.
    pub fn keys(&self) -> Option<&Keys> {
        self.0.as_ref()
    }

    /// Flushes the keys and closes the TPM, so that another program can open it.
    pub async fn close(mut self) {
        if let Some(keys) = self.0.take() {
            spawn_blocking(move || drop(keys)).await.ok(); // Then the thread has broken down, and they are gone.
        }
    }

    /// Runs a call of the TPM; `None` as for [`Held::keys`].
    ///
    /// # Errors
    ///
    /// If the TPM fails.
    pub async fn run<T: Send + 'static>(
        &mut self,
        act: impl FnOnce(&mut Keys) -> Result<T, TpmError> + Send + 'static,
    ) -> Option<Result<T, TpmError>> {
        let mut keys = self.0.take()?;
        let ran = spawn_blocking(move || {
            let done = act(&mut keys);
            (keys, done)
        });
        match ran.await {
            Ok((keys, done)) => {
                self.0 = Some(keys);
                Some(done)
            }
            Err(error) => Some(Err(error.into())),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(keys) = self.0.take() {
            // The runtime waits for it for a moment when it ends.
            drop(spawn_blocking(move || drop(keys)));
        }
    }
}
