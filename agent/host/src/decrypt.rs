//! Decrypts a configuration.

use crate::key::Key;
use anyhow::anyhow;
use metal_rented::sealed::{Ciphertext, OpenError};
use serde::Deserialize;

/// An encrypted configuration.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Sealed {
    algorithm: String,
    ciphertext: String,
}

impl Sealed {
    /// Both parts, each ended by a newline, which neither has.
    pub(crate) fn lines(&self) -> String {
        format!("{}\n{}\n", self.algorithm, self.ciphertext)
    }
}

/// Why a configuration cannot be decrypted.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It will never be possible.
    Configuration(anyhow::Error),
    /// The key cannot be used at the moment, which says nothing about the configuration.
    Key(anyhow::Error),
}

/// The configuration for the host `NAMESPACE/NAME`, which has this key.
pub(crate) async fn open(key: &Key, host: &str, sealed: &Sealed) -> Result<Vec<u8>, Refused> {
    let refused = |error: OpenError| Refused::Configuration(anyhow!("configuration: {error}"));
    let text = Ciphertext::parse(&sealed.algorithm, &sealed.ciphertext).map_err(refused)?;
    let secret = key.agree(text.ephemeral()).await.map_err(Refused::Key)?;
    text.open(&key.public().map_err(Refused::Key)?, host, &secret).map_err(refused)
}

/// The other side.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use metal_rented::sealed;

    /// What the plugin does.
    pub(crate) fn seal(key: &Key, host: &str, plain: &[u8]) -> Sealed {
        let ciphertext = sealed::seal(&key.public().unwrap(), host, plain).unwrap();
        Sealed { algorithm: sealed::ALGORITHM.to_owned(), ciphertext }
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::seal, *};
    use crate::key::KeyPlace;
    use metal_attest::testing::Swtpm;
    use metal_tpm::TpmLocation;

    #[tokio::test]
    async fn a_configuration_opens_with_the_key_of_its_host_and_for_no_other() {
        let (software, folder) = (Swtpm::start(), tempfile::tempdir().unwrap());
        let (tpm, path) = (TpmLocation::Unix(software.socket()), folder.path());
        let of_tpm = Key::load(path, KeyPlace::Tpm, &tpm, true).await.unwrap();
        let other = Key::in_file(&path.join("other")).unwrap();
        for key in [of_tpm, Key::in_file(&path.join("one")).unwrap()] {
            let sealed = seal(&key, "org/web-1", b"{\"a\":1}");
            assert_eq!(open(&key, "org/web-1", &sealed).await.unwrap(), b"{\"a\":1}");
            let others =
                [open(&key, "org/web-2", &sealed).await, open(&other, "org/web-1", &sealed).await];
            for refused in others {
                let Err(Refused::Configuration(error)) = refused else { panic!("{refused:?}") };
                let says = "configuration: not encrypted to the key of this host, or altered";
                assert_eq!(error.to_string(), says);
            }
        }
    }

    #[tokio::test]
    async fn a_tpm_that_does_not_answer_says_nothing_about_a_configuration() {
        let (software, folder) = (Swtpm::start(), tempfile::tempdir().unwrap());
        let tpm = TpmLocation::Unix(software.socket());
        let key = Key::load(folder.path(), KeyPlace::Tpm, &tpm, true).await.unwrap();
        let sealed = seal(&key, "org/web-1", b"plain");
        drop(software);
        let refused = open(&key, "org/web-1", &sealed).await;
        assert!(matches!(refused, Err(Refused::Key(_))), "{refused:?}");
    }
}
