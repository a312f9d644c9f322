//! A secret for one machine.

use crate::{
    credential::{self, CREDENTIAL_LEN, SealError, chance},
    event_log::MAX_EVENT_LOG,
    quote::{Challenge, ChallengeSecret},
    wire::{ChallengeMessage, Request, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    rand::SecureRandom,
};

/// A secret that only one TPM can open.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sealed {
    credential_blob: Vec<u8>,
    encrypted_secret: Vec<u8>,
    encrypted_token: Vec<u8>,
    nonce: [u8; 12],
}

/// Encrypts `token` with a fresh AES-256-GCM key, and that key for the TPM that has both keys of
/// `request`.
///
/// # Errors
///
/// If the system provides no randomness.
pub fn seal(
    request: &Request,
    token: &[u8],
    random: &dyn SecureRandom,
) -> Result<Sealed, SealError> {
    let key: [u8; CREDENTIAL_LEN] = chance(random)?;
    let wrapped = credential::make(&request.ek, request.srk.name(), &key, random)?;
    let nonce = chance(random)?;
    let mut encrypted_token = token.to_vec();
    // Called less safe because it relies on the caller not to reuse a nonce: this key is used once.
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key)?).seal_in_place_append_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::empty(),
        &mut encrypted_token,
    )?;
    let (credential_blob, encrypted_secret) = (wrapped.blob, wrapped.secret);
    Ok(Sealed { credential_blob, encrypted_secret, encrypted_token, nonce })
}

/// Challenges the TPM that has both keys: it alone can tell the nonce, which `secret` and the ticket make.
///
/// # Errors
///
/// If the system provides no randomness.
pub fn challenge(
    challenge: &Challenge<'_>,
    secret: &[u8; 32],
    ticket: ChallengeSecret,
    random: &dyn SecureRandom,
) -> Result<ChallengeMessage, SealError> {
    let nonce = challenge.nonce(secret, ticket);
    let wrapped = credential::make(challenge.ek, challenge.ak.name(), &nonce, random)?;
    Ok(ChallengeMessage {
        credential_blob: STANDARD.encode(wrapped.blob),
        encrypted_secret: STANDARD.encode(wrapped.secret),
        pcrs: challenge.pcrs.iter().copied().collect(),
        salt: STANDARD.encode(ticket.salt),
        expires: ticket.expires,
        event_log: MAX_EVENT_LOG,
    })
}

impl Sealed {
    /// The response to a machine, with the cluster's certificates in PEM.
    pub fn into_response(self, cluster_ca: Option<String>) -> Response {
        Response {
            credential_blob: STANDARD.encode(self.credential_blob),
            encrypted_secret: STANDARD.encode(self.encrypted_secret),
            encrypted_token: STANDARD.encode(self.encrypted_token),
            gcm_nonce: STANDARD.encode(self.nonce),
            cluster_ca: cluster_ca.filter(|pem| !pem.is_empty()),
        }
    }
}
