//! The side of the host, which decrypts.

use super::{ALGORITHM, derive};
use crate::key::POINT;
use base64::{Engine, engine::general_purpose::STANDARD};
use p256::{PublicKey, SecretKey, ecdh::diffie_hellman, elliptic_curve::sec1::ToEncodedPoint};
use ring::{aead::Aad, error::Unspecified};

/// Why a configuration cannot be decrypted. No message holds any of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is encrypted in another way.
    #[error("{0:?} is not known here")]
    UnknownAlgorithm(String),
    /// The ciphertext is not base64.
    #[error("not in base64")]
    Base64,
    /// There is no ephemeral key in it.
    #[error("too short")]
    TooShort,
    /// It is for another key or another host, or not what was encrypted.
    #[error("not encrypted to the key of this host, or altered")]
    Unreadable,
}

impl From<Unspecified> for OpenError {
    fn from(_: Unspecified) -> Self {
        Self::Unreadable
    }
}

/// Decrypts a configuration of the host `NAMESPACE/NAME`, which has this key.
///
/// # Errors
///
/// If it was not encrypted to this host, or not in this way.
pub fn open(
    secret: &SecretKey,
    host: &str,
    algorithm: &str,
    ciphertext: &str,
) -> Result<Vec<u8>, OpenError> {
    if algorithm != ALGORITHM {
        return Err(OpenError::UnknownAlgorithm(algorithm.to_owned()));
    }
    let bytes = STANDARD.decode(ciphertext).map_err(|_| OpenError::Base64)?;
    let (ephemeral, text) = bytes.split_at_checked(POINT).ok_or(OpenError::TooShort)?;
    let peer = PublicKey::from_sec1_bytes(ephemeral).map_err(|_| OpenError::Unreadable)?;
    let shared = diffie_hellman(secret.to_nonzero_scalar(), peer.as_affine());
    let point = secret.public_key().to_encoded_point(false);
    let (aes, nonce) = derive(ephemeral, point.as_bytes(), shared.raw_secret_bytes())?;
    let mut text = text.to_vec();
    Ok(aes.open_in_place(nonce, Aad::from(host), &mut text)?.to_vec())
}
