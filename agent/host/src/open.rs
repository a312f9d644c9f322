//! Decrypts a configuration: docs/hosts.md has every byte.

use crate::key::Key;
use anyhow::{Context, Result, anyhow, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use p256::{PublicKey, ecdh::diffie_hellman};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Salt},
};
use serde::Deserialize;

/// How it is encrypted.
const ALGORITHM: &str = "P256-HKDF-SHA256-AES256GCM";
/// Separates this use of a key from any other.
const INFO: &[u8] = b"bloomery-sealed-v1";
/// Bytes of an uncompressed point.
const POINT: usize = 65;
/// Bytes of a key of AES-256.
const AES: usize = 32;

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

/// Key and nonce.
struct Derived;

impl KeyType for Derived {
    fn len(&self) -> usize {
        AES + NONCE_LEN
    }
}

/// The configuration of the host `NAMESPACE/NAME`, which has this key.
pub(crate) fn open(key: &Key, host: &str, sealed: &Sealed) -> Result<Vec<u8>> {
    let Sealed { algorithm, ciphertext } = sealed;
    ensure!(algorithm == ALGORITHM, "configuration: {algorithm:?} is not known here");
    let bytes = STANDARD.decode(ciphertext).context("configuration")?;
    let (ephemeral, text) = bytes.split_at_checked(POINT).context("configuration is too short")?;
    let peer = PublicKey::from_sec1_bytes(ephemeral).map_err(|_| unreadable())?;
    let shared = diffie_hellman(key.secret.to_nonzero_scalar(), peer.as_affine());
    let salt = [ephemeral, &key.point()].concat();
    let mut derived = [0; AES + NONCE_LEN];
    let extracted = Salt::new(HKDF_SHA256, &salt).extract(shared.raw_secret_bytes());
    let expanded = extracted.expand(&[INFO], Derived).map_err(|_| unreadable())?;
    expanded.fill(&mut derived).map_err(|_| unreadable())?;
    let (aes, nonce) = derived.split_at(AES);
    let aes = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, aes).map_err(|_| unreadable())?);
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| unreadable())?;
    let mut text = text.to_vec();
    let plain = aes.open_in_place(nonce, Aad::from(host), &mut text).map_err(|_| unreadable())?;
    Ok(plain.to_vec())
}

fn unreadable() -> anyhow::Error {
    anyhow!("configuration: not encrypted to the key of this host, or altered")
}

/// The other side.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use ring::{
        agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral},
        rand::SystemRandom,
    };

    /// What the plugin does.
    pub(crate) fn seal(key: &Key, host: &str, plain: &[u8]) -> Sealed {
        let ephemeral = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new()).unwrap();
        let public = ephemeral.compute_public_key().unwrap();
        let salt = [public.as_ref(), &key.point()].concat();
        let peer = UnparsedPublicKey::new(&ECDH_P256, key.point());
        let mut derived = [0; AES + NONCE_LEN];
        agree_ephemeral(ephemeral, &peer, |secret| {
            let extracted = Salt::new(HKDF_SHA256, &salt).extract(secret);
            extracted.expand(&[INFO], Derived).unwrap().fill(&mut derived).unwrap();
        })
        .unwrap();
        let (aes, nonce) = derived.split_at(AES);
        let aes = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, aes).unwrap());
        let nonce = Nonce::try_assume_unique_for_key(nonce).unwrap();
        let mut text = plain.to_vec();
        aes.seal_in_place_append_tag(nonce, Aad::from(host), &mut text).unwrap();
        let ciphertext = STANDARD.encode([public.as_ref(), &text].concat());
        Sealed { algorithm: ALGORITHM.to_owned(), ciphertext }
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
        assert!(open(&key, "org/web-2", &sealed).is_err());
        assert!(open(&other, "org/web-1", &sealed).is_err());
        for (algorithm, ciphertext) in [
            ("none", sealed.ciphertext.as_str()),
            (ALGORITHM, ""),
            (ALGORITHM, "AAAA"),
            (ALGORITHM, "?"),
            (ALGORITHM, &sealed.ciphertext[..sealed.ciphertext.len() - 8]),
        ] {
            let (algorithm, ciphertext) = (algorithm.to_owned(), ciphertext.to_owned());
            assert!(open(&key, "org/web-1", &Sealed { algorithm, ciphertext }).is_err());
        }
    }
}
