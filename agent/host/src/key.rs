//! The key of this host, which is made here and never leaves it.

use crate::files;
use anyhow::{Context, Result, anyhow};
use base64::{Engine, engine::general_purpose::STANDARD};
use metal_rented::PublicKey;
use p256::{SecretKey, elliptic_curve::sec1::ToEncodedPoint};
use ring::{
    rand::{SecureRandom, SystemRandom},
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair},
};
use std::{fmt, path::Path};

/// How often another number is drawn: nearly every one of 32 bytes is a key.
const TRIES: usize = 8;

/// ECDSA and ECDH with P-256.
pub(crate) struct Key {
    pub(crate) secret: SecretKey,
    signer: EcdsaKeyPair,
    random: SystemRandom,
}

impl Key {
    /// The key in this file, which is made if there is none.
    pub(crate) fn load(path: &Path) -> Result<Self> {
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
    pub(crate) fn public(&self) -> Result<PublicKey> {
        let point = self.secret.public_key().to_encoded_point(false);
        Ok(PublicKey::of_point(point.as_bytes())?)
    }

    /// A signature, in base64.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<String> {
        let signature = self.signer.sign(&self.random, message);
        Ok(STANDARD.encode(signature.map_err(|_| anyhow!("no signature"))?))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
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
        let made = Key::load(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Key::load(&path).unwrap().public().unwrap(), made.public().unwrap());
        assert!(!format!("{made:?}").contains("BEGIN"));
        fs::write(&path, [0; 32]).unwrap();
        assert!(Key::load(&path).is_err(), "another key would be another host");
    }
}
