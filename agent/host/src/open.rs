//! Decrypts a configuration.

use crate::key::Key;
use anyhow::{Result, anyhow};
use metal_rented::sealed;
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

/// The configuration of the host `NAMESPACE/NAME`, which has this key.
pub(crate) fn open(key: &Key, host: &str, sealed: &Sealed) -> Result<Vec<u8>> {
    let opened = sealed::open(&key.secret, host, &sealed.algorithm, &sealed.ciphertext);
    opened.map_err(|error| anyhow!("configuration: {error}"))
}

/// The other side.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// What the plugin does.
    pub(crate) fn seal(key: &Key, host: &str, plain: &[u8]) -> Sealed {
        let ciphertext = sealed::seal(&key.public().unwrap(), host, plain).unwrap();
        Sealed { algorithm: sealed::ALGORITHM.to_owned(), ciphertext }
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::seal, *};

    #[test]
    fn a_configuration_opens_with_the_key_of_its_host_and_for_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::load(&folder.path().join("one")).unwrap();
        let other = Key::load(&folder.path().join("other")).unwrap();
        let sealed = seal(&key, "org/web-1", b"{\"a\":1}");
        assert_eq!(open(&key, "org/web-1", &sealed).unwrap(), b"{\"a\":1}");
        for error in [open(&key, "org/web-2", &sealed), open(&other, "org/web-1", &sealed)] {
            let text = error.unwrap_err().to_string();
            assert_eq!(text, "configuration: not encrypted to the key of this host, or altered");
        }
    }
}
