//! The side of the host, which decrypts.

use super::{ALGORITHM, derive};
use crate::key::POINT;
use base64::{Engine, engine::general_purpose::STANDARD};
use p256::{PublicKey, SecretKey, ecdh::diffie_hellman, elliptic_curve::sec1::ToEncodedPoint};
use ring::{aead::Aad, error::Unspecified};

/// Bytes of a coordinate.
const COORDINATE: usize = 32;

/// Why a configuration cannot be decrypted. No message holds any of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It is encrypted with another method.
    #[error("{0:?} is not known here")]
    UnknownAlgorithm(String),
    /// The ciphertext is not base64.
    #[error("not in base64")]
    Base64,
    /// It contains no ephemeral key.
    #[error("too short")]
    TooShort,
    /// It is for another key or another host, or was changed.
    #[error("not encrypted to the key of this host, or altered")]
    Unreadable,
}

impl From<Unspecified> for OpenError {
    fn from(_: Unspecified) -> Self {
        Self::Unreadable
    }
}

/// An encrypted configuration whose shared secret is not known yet.
#[derive(Clone, Debug)]
pub struct Ciphertext {
    ephemeral: [u8; POINT],
    text: Vec<u8>,
}

impl Ciphertext {
    /// Parses the encrypted configuration of a release.
    ///
    /// # Errors
    ///
    /// If it was encrypted with another method.
    pub fn parse(algorithm: &str, ciphertext: &str) -> Result<Self, OpenError> {
        if algorithm != ALGORITHM {
            return Err(OpenError::UnknownAlgorithm(algorithm.to_owned()));
        }
        let bytes = STANDARD.decode(ciphertext).map_err(|_| OpenError::Base64)?;
        let (ephemeral, text) = bytes.split_first_chunk::<POINT>().ok_or(OpenError::TooShort)?;
        // A key in hardware is not used for an invalid point.
        PublicKey::from_sec1_bytes(ephemeral).map_err(|_| OpenError::Unreadable)?;
        Ok(Self { ephemeral: *ephemeral, text: text.to_vec() })
    }

    /// The uncompressed point with which the host agrees on the secret (ECDH).
    pub fn ephemeral(&self) -> &[u8; POINT] {
        &self.ephemeral
    }

    /// Decrypts it for the host `NAMESPACE/NAME` with this key, with the x-coordinate that was agreed on.
    ///
    /// # Errors
    ///
    /// If it was not encrypted to this host.
    pub fn open(
        mut self,
        key: &crate::PublicKey,
        host: &str,
        secret: &[u8; COORDINATE],
    ) -> Result<Vec<u8>, OpenError> {
        let (aes, nonce) = derive(&self.ephemeral, key.point(), secret)?;
        Ok(aes.open_in_place(nonce, Aad::from(host), &mut self.text)?.to_vec())
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
    let sealed = Ciphertext::parse(algorithm, ciphertext)?;
    let point = secret.public_key().to_encoded_point(false);
    let key = crate::PublicKey::of_point(point.as_bytes()).map_err(|_| OpenError::Unreadable)?;
    let shared = agree(secret, sealed.ephemeral()).ok_or(OpenError::Unreadable)?;
    sealed.open(&key, host, &shared)
}

/// The x-coordinate that a secret key and the uncompressed point of another one have in common; `None` if that
/// is not on the curve.
pub fn agree(secret: &SecretKey, peer: &[u8; POINT]) -> Option<[u8; COORDINATE]> {
    let peer = PublicKey::from_sec1_bytes(peer).ok()?;
    let shared = diffie_hellman(secret.to_nonzero_scalar(), peer.as_affine());
    Some((*shared.raw_secret_bytes()).into())
}
