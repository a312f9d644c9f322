//! The key of a rented server, which its TPM makes and nobody else has.

use crate::{Tpm, TpmError, TpmLocation, of_hierarchy};
use metal_attest::client::{
    COORDINATE, DIGEST, Handle, POINT, ResponseError, agree, agreed, create_host_key, created,
    done, flush, point, sign, signed,
};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::task::spawn_blocking;

/// A key on P-256. The TPM is open, and has the key loaded, only while the key is used.
#[derive(Clone, Debug)]
pub struct HostKey {
    place: TpmLocation,
    salt: [u8; COORDINATE],
    point: [u8; POINT],
}

/// The loaded key; it is flushed in any case.
struct Loaded {
    tpm: Tpm,
    key: Handle,
    point: [u8; POINT],
}

impl HostKey {
    /// Makes the key that belongs to this salt; always the same one.
    ///
    /// # Errors
    ///
    /// If the TPM does not do it.
    pub async fn create(place: &TpmLocation, salt: [u8; COORDINATE]) -> Result<Self, TpmError> {
        let at = place.clone();
        let loaded = spawn_blocking(move || Loaded::open(&at, &salt).map(|it| it.point));
        Ok(Self { place: place.clone(), salt, point: loaded.await?? })
    }

    /// A salt for a new key.
    ///
    /// # Errors
    ///
    /// If the system has no randomness.
    pub fn salt() -> Result<[u8; COORDINATE], TpmError> {
        let mut salt = [0; COORDINATE];
        SystemRandom::new().fill(&mut salt).map_err(|_| TpmError::Random)?;
        Ok(salt)
    }

    /// Its uncompressed point.
    pub fn point(&self) -> &[u8; POINT] {
        &self.point
    }

    /// Signs a digest by SHA-256 with ECDSA: the signature in DER.
    ///
    /// # Errors
    ///
    /// If the TPM does not do it, or no longer has the key.
    pub async fn sign(&self, digest: [u8; DIGEST]) -> Result<Vec<u8>, TpmError> {
        self.with(move |loaded| loaded.tpm.run(&sign(loaded.key, &digest)?, signed)).await
    }

    /// The x-coordinate that this key and the uncompressed point of another one have in common.
    ///
    /// # Errors
    ///
    /// If the TPM does not do it, or no longer has the key.
    pub async fn agree(&self, peer: [u8; POINT]) -> Result<[u8; COORDINATE], TpmError> {
        self.with(move |loaded| loaded.tpm.run(&agree(loaded.key, &peer)?, agreed)).await
    }

    async fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Loaded) -> Result<T, TpmError> + Send + 'static,
    ) -> Result<T, TpmError> {
        let Self { place, salt, point } = self.clone();
        let done = spawn_blocking(move || {
            let mut loaded = Loaded::open(&place, &salt)?;
            if loaded.point == point { act(&mut loaded) } else { Err(TpmError::Cleared) }
        });
        done.await?
    }
}

impl Loaded {
    fn open(place: &TpmLocation, salt: &[u8; COORDINATE]) -> Result<Self, TpmError> {
        let mut tpm = Tpm::open(place)?;
        let made = tpm.run(&create_host_key(salt)?, created).map_err(of_hierarchy("owner"))?;
        let mut loaded = Self { tpm, key: made.handle, point: [0; POINT] };
        loaded.point = point(&made.public).map_err(|_| ResponseError::Malformed)?;
        Ok(loaded)
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        let flushed = flush(self.key).map_err(TpmError::from);
        let flushed = flushed.and_then(|command| self.tpm.run(&command, done));
        if let Err(error) = flushed {
            tracing::debug!(%error, "not flushed; the kernel does it when the TPM is closed");
        }
    }
}
