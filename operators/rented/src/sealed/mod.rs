//! Configurations that only one host can decrypt: docs/hosts.md has every byte.

#[cfg(feature = "open")]
mod open;
#[cfg(feature = "seal")]
mod seal;

#[cfg(feature = "open")]
pub use open::{Ciphertext, OpenError, agree, open};
#[cfg(feature = "seal")]
pub use seal::{SealError, seal};

use ring::{
    aead::{AES_256_GCM, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    error::Unspecified,
    hkdf::{HKDF_SHA256, KeyType, Salt},
};

/// How a configuration is encrypted, as a release names it.
pub const ALGORITHM: &str = "P256-HKDF-SHA256-AES256GCM";
/// Separates this use of a key from any other.
const INFO: &[u8] = b"bloomery-sealed-v1";
/// Bytes of a key of AES-256.
const KEY: usize = 32;

/// Key and nonce.
struct Derived;

impl KeyType for Derived {
    fn len(&self) -> usize {
        KEY + NONCE_LEN
    }
}

/// The key and the nonce of a secret that both sides have agreed on; `ephemeral` and `point` are their public keys.
fn derive(
    ephemeral: &[u8],
    point: &[u8],
    secret: &[u8],
) -> Result<(LessSafeKey, Nonce), Unspecified> {
    let mut derived = [0; KEY + NONCE_LEN];
    let salt = [ephemeral, point].concat();
    let extracted = Salt::new(HKDF_SHA256, &salt).extract(secret);
    extracted.expand(&[INFO], Derived)?.fill(&mut derived)?;
    let (key, nonce) = derived.split_at(KEY);
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key)?);
    Ok((key, Nonce::try_assume_unique_for_key(nonce)?))
}

#[cfg(test)]
#[cfg(feature = "open")]
mod tests;
