//! The key of this host, which is made on it and never leaves it: in its TPM if possible, otherwise in a file.

mod file;

use crate::files;
use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use clap::ValueEnum;
use file::FileKey;
use metal_rented::PublicKey;
use metal_tpm::{HostKey, TpmLocation};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The file with the key, and the one that says which key of the TPM it is.
const FILE: &str = "key";
const OF_TPM: &str = "key.tpm";

const CLEARED: &str = "the TPM no longer has the key of this host: it was cleared, or is another one. Delete \
    the Host, and install anew with another token";

const MISSING: &str = "there was no key of this host, and nothing to register another one with: the server refuses this \
    one until a Host has it. Delete the Host, and install anew with another token; or make one with this key \
    (kubectl metal hosts create)";

/// Where the key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyPlace {
    /// Where it is already; else in the TPM, or in a file if there is none that can be used
    Auto,
    /// In a file of the state
    File,
    /// In the TPM
    Tpm,
}

/// ECDSA and ECDH with P-256.
#[derive(Debug)]
pub(crate) enum Key {
    File(Box<FileKey>),
    Tpm(HostKey),
}

/// What is recorded about a key in a TPM; none of it is secret.
#[derive(Debug, Deserialize, Serialize)]
struct Recorded {
    salt: [u8; 32],
    public: String,
}

impl Key {
    /// The key of this state directory. It is made if there is none, or if the machine has another TPM and
    /// `is_new`, so that nobody knows the key yet.
    ///
    /// # Errors
    ///
    /// If the key cannot be used, or the TPM no longer has it: with another key, it would be another host.
    pub(crate) async fn load(
        folder: &Path,
        place: KeyPlace,
        tpm: &TpmLocation,
        is_new: bool,
    ) -> Result<Self> {
        let (file, of_tpm) = (folder.join(FILE), folder.join(OF_TPM));
        match (files::read(&file)?.is_some(), files::read(&of_tpm)?) {
            (_, Some(recorded)) => {
                ensure!(place != KeyPlace::File, "the key of this host is in its TPM");
                let recorded = serde_json::from_slice(&recorded);
                let recorded = recorded.with_context(|| of_tpm.display().to_string())?;
                match recall(recorded, tpm).await? {
                    Some(key) => Ok(key),
                    None if is_new => make(&of_tpm, tpm).await,
                    None => bail!(CLEARED),
                }
            }
            (true, None) => {
                ensure!(place != KeyPlace::Tpm, "the key of this host is in {}", file.display());
                Self::in_file(&file)
            }
            (false, None) => {
                let made = Self::made((&file, &of_tpm), place, tpm).await?;
                if !is_new {
                    let public_key = made.public()?.pem();
                    tracing::warn!(public_key, "{MISSING}");
                }
                Ok(made)
            }
        }
    }

    /// A new key, in the requested place.
    async fn made(
        (file, of_tpm): (&Path, &Path),
        place: KeyPlace,
        tpm: &TpmLocation,
    ) -> Result<Self> {
        match place {
            KeyPlace::File => Self::in_file(file),
            KeyPlace::Tpm => make(of_tpm, tpm).await,
            KeyPlace::Auto => match make(of_tpm, tpm).await {
                Ok(key) => Ok(key),
                Err(error) => {
                    tracing::info!(
                        error = format!("{error:#}"),
                        "the key is in a file, as no TPM can be used"
                    );
                    Self::in_file(file)
                }
            },
        }
    }

    /// The key in this file, which is made if there is none.
    pub(crate) fn in_file(path: &Path) -> Result<Self> {
        FileKey::load(path).map(Box::new).map(Self::File)
    }

    pub(crate) fn is_in_tpm(&self) -> bool {
        matches!(self, Self::Tpm(_))
    }

    /// The public key.
    pub(crate) fn public(&self) -> Result<PublicKey> {
        match self {
            Self::File(key) => key.public(),
            Self::Tpm(key) => Ok(PublicKey::of_point(key.point())?),
        }
    }

    /// A signature by ECDSA with SHA-256, in base64.
    pub(crate) async fn sign(&self, message: &[u8]) -> Result<String> {
        let signature = match self {
            Self::File(key) => key.sign(message)?,
            Self::Tpm(key) => key.sign(digest(&SHA256, message).as_ref().try_into()?).await?,
        };
        Ok(STANDARD.encode(signature))
    }

    /// The x-coordinate on which it agrees with another key, given as an uncompressed point.
    pub(crate) async fn agree(&self, peer: &[u8; 65]) -> Result<[u8; 32]> {
        match self {
            Self::File(key) => key.agree(peer),
            Self::Tpm(key) => Ok(key.agree(*peer).await?),
        }
    }
}

/// Makes another key in the TPM, and records it before anybody else learns of it.
async fn make(path: &Path, tpm: &TpmLocation) -> Result<Key> {
    let salt = HostKey::salt()?;
    let key = Key::Tpm(HostKey::create(tpm, salt).await?);
    let recorded = Recorded { salt, public: key.public()?.pem() };
    files::write(path, &serde_json::to_vec(&recorded)?)?;
    Ok(key)
}

/// The recorded key of the TPM, if the TPM still has it.
async fn recall(recorded: Recorded, tpm: &TpmLocation) -> Result<Option<Key>> {
    let key = Key::Tpm(HostKey::create(tpm, recorded.salt).await?);
    let is_same = key.public()?.pem() == recorded.public;
    Ok(is_same.then_some(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_attest::testing::Swtpm;
    use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
    use std::fs;

    fn nowhere() -> TpmLocation {
        "/nowhere/tpm".parse().unwrap()
    }

    #[tokio::test]
    async fn a_key_is_in_the_tpm_where_there_is_one_and_stays_where_it_is() {
        let (software, folder) = (Swtpm::start(), tempfile::tempdir().unwrap());
        let tpm = TpmLocation::Unix(software.socket());
        let load =
            async |place, tpm: &TpmLocation| Key::load(folder.path(), place, tpm, false).await;
        let key = load(KeyPlace::Auto, &tpm).await.unwrap();
        assert!(key.is_in_tpm() && !folder.path().join(FILE).exists());
        let public = key.public().unwrap();
        let signature = STANDARD.decode(key.sign(b"message").await.unwrap()).unwrap();
        let verifier = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public.point());
        verifier.verify(b"message", &signature).unwrap();
        // The agent starts again: with the TPM only, and never with another key.
        for place in [KeyPlace::Auto, KeyPlace::Tpm] {
            assert_eq!(load(place, &tpm).await.unwrap().public().unwrap(), public);
            assert!(load(place, &nowhere()).await.is_err());
        }
        assert!(load(KeyPlace::File, &tpm).await.is_err());
        software.tpm2("tpm2_clear", &[]);
        let error = load(KeyPlace::Auto, &tpm).await.unwrap_err().to_string();
        assert!(error.contains("no longer has the key of this host"), "{error}");
        assert!(!folder.path().join(FILE).exists());
        // A disk that was moved before anybody knew the key.
        let new = Key::load(folder.path(), KeyPlace::Auto, &tpm, true).await.unwrap();
        assert_ne!(new.public().unwrap(), public);
        let again = load(KeyPlace::Auto, &tpm).await.unwrap();
        assert_eq!(again.public().unwrap(), new.public().unwrap());
    }

    #[tokio::test]
    async fn a_key_is_in_a_file_where_there_is_no_tpm_and_stays_there() {
        let (software, folder) = (Swtpm::start(), tempfile::tempdir().unwrap());
        let tpm = TpmLocation::Unix(software.socket());
        let load =
            async |place, tpm: &TpmLocation| Key::load(folder.path(), place, tpm, false).await;
        assert!(load(KeyPlace::Tpm, &nowhere()).await.is_err());
        let public = load(KeyPlace::Auto, &nowhere()).await.unwrap().public().unwrap();
        // Also if a TPM is there later: the Host has this key.
        for place in [KeyPlace::Auto, KeyPlace::File] {
            assert_eq!(load(place, &tpm).await.unwrap().public().unwrap(), public);
        }
        assert!(load(KeyPlace::Tpm, &tpm).await.is_err());
        assert!(!folder.path().join(OF_TPM).exists());
        fs::remove_file(folder.path().join(FILE)).unwrap();
        assert!(load(KeyPlace::Auto, &tpm).await.unwrap().is_in_tpm());
    }
}
