//! A key in a file, for a machine without a TPM.

use crate::files;
use anyhow::{Context, Result, anyhow};
use metal_rented::{PublicKey, sealed::agree};
use p256::{SecretKey, elliptic_curve::sec1::ToEncodedPoint};
use ring::{
    rand::{SecureRandom, SystemRandom},
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};
use std::{fmt, path::Path};

/// How many random numbers are tried: nearly every one of 32 bytes is a key.
const TRIES: usize = 8;

/// ECDSA and ECDH with P-256.
pub(crate) struct FileKey {
    secret: SecretKey,
    signer: EcdsaKeyPair,
    random: SystemRandom,
}

impl FileKey {
    /// The key in this file, which is made if there is none.
    pub(super) fn load(path: &Path) -> Result<Self> {
        if let Some(bytes) = files::read(path)? {
            return Self::of(&bytes).with_context(|| path.display().to_string());
        }
        let random = SystemRandom::new();
        for _ in 0..TRIES {
            let mut bytes = [0; 32];
            random.fill(&mut bytes).map_err(|_| anyhow!("no randomness"))?;
            if let Ok(key) = Self::of(&bytes) {
                files::write(path, &bytes)?;
                return Ok(key);
            }
        }
        Err(anyhow!("no key"))
    }

    fn of(bytes: &[u8]) -> Result<Self> {
        let unusable = || anyhow!("not a key of P-256");
        let secret = SecretKey::from_slice(bytes).map_err(|_| unusable())?;
        let (random, point) = (SystemRandom::new(), secret.public_key().to_encoded_point(false));
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let signer = EcdsaKeyPair::from_private_key_and_public_key(
            algorithm,
            bytes,
            point.as_bytes(),
            &random,
        );
        Ok(Self { secret, signer: signer.map_err(|_| unusable())?, random })
    }

    /// The public key.
    pub(super) fn public(&self) -> Result<PublicKey> {
        let point = self.secret.public_key().to_encoded_point(false);
        Ok(PublicKey::of_point(point.as_bytes())?)
    }

    /// A signature, in DER.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let signature = self.signer.sign(&self.random, message);
        Ok(signature.map_err(|_| anyhow!("no signature"))?.as_ref().to_vec())
    }

    /// The x-coordinate on which it agrees with another key.
    pub(super) fn agree(&self, peer: &[u8; 65]) -> Result<[u8; 32]> {
        agree(&self.secret, peer).context("the other key is none")
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    #[test]
    fn a_key_is_made_once_and_its_owner_alone_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let made = FileKey::load(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(FileKey::load(&path).unwrap().public().unwrap(), made.public().unwrap());
        assert_eq!(format!("{made:?}"), "FileKey(..)");
        fs::write(&path, [0; 32]).unwrap();
        assert!(FileKey::load(&path).is_err(), "another key would be another host");
    }
}
