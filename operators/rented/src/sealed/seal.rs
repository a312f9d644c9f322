//! The side of the plugin, which encrypts.

use super::derive;
use crate::PublicKey;
use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{
    aead::Aad,
    agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral},
    error::Unspecified,
    rand::SystemRandom,
};

/// The key is not a point of the curve, or there is no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key cannot be used, or there is no randomness")]
pub struct SealError;

impl From<Unspecified> for SealError {
    fn from(_: Unspecified) -> Self {
        Self
    }
}

/// Encrypts a configuration to the key of the host `NAMESPACE/NAME`; the ciphertext is base64.
///
/// # Errors
///
/// If the key is not a point of the curve, or there is no randomness.
pub fn seal(key: &PublicKey, host: &str, plain: &[u8]) -> Result<String, SealError> {
    let ephemeral = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new())?;
    let public = ephemeral.compute_public_key()?;
    let (peer, public) = (UnparsedPublicKey::new(&ECDH_P256, key.point()), public.as_ref());
    let derived = agree_ephemeral(ephemeral, &peer, |secret| derive(public, key.point(), secret));
    let (aes, nonce) = derived??;
    let mut text = plain.to_vec();
    aes.seal_in_place_append_tag(nonce, Aad::from(host), &mut text)?;
    Ok(STANDARD.encode([public, &text].concat()))
}
