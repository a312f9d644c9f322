//! Opens the response of metalman.

use crate::wire::{ChallengeMessage, Response};
use base64::{Engine, engine::general_purpose::STANDARD};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// The longest token that is accepted, in octets: that of a ServiceAccount has about 1,000.
pub const MAX_TOKEN: usize = 16 * 1024;

/// A credential that only the TPM can open.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EncryptedCredential {
    /// What is in the TPM2B_ID_OBJECT.
    pub blob: Vec<u8>,
    /// What is in the TPM2B_ENCRYPTED_SECRET.
    pub secret: Vec<u8>,
}

/// Why a response cannot be opened. The text contains nothing of its contents.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OpenError {
    /// A field is invalid.
    #[error("{0} of the answer is not in base64, or of a length that it cannot have")]
    Field(&'static str),
    /// It was encrypted with another key, or is damaged.
    #[error("the token does not decrypt with the key that the TPM returned")]
    Decrypt,
    /// What was encrypted is no token.
    #[error("what was encrypted is not a token of letters, digits, dots, dashes and underscores")]
    Token,
}

impl EncryptedCredential {
    /// The credential of an answer.
    ///
    /// # Errors
    ///
    /// A field is not base64 of a TPM2B.
    pub fn of(response: &Response) -> Result<Self, OpenError> {
        Self::parse(&response.credential_blob, &response.encrypted_secret)
    }

    /// That of a challenge: in it is the nonce.
    ///
    /// # Errors
    ///
    /// A field is not base64 of a TPM2B.
    pub fn of_challenge(asked: &ChallengeMessage) -> Result<Self, OpenError> {
        Self::parse(&asked.credential_blob, &asked.encrypted_secret)
    }

    fn parse(blob: &str, secret: &str) -> Result<Self, OpenError> {
        let blob = content("credentialBlob", blob)?;
        Ok(Self { blob, secret: content("encryptedSecret", secret)? })
    }
}

/// Opens the token of an answer with the credential that the TPM has returned.
///
/// # Errors
///
/// It does not decrypt, or is no token.
pub fn open(response: &Response, credential: &[u8; 32]) -> Result<String, OpenError> {
    let decode = |field, text: &str| STANDARD.decode(text).map_err(|_| OpenError::Field(field));
    let nonce = decode("gcmNonce", &response.gcm_nonce)?;
    let nonce = Nonce::try_assume_unique_for_key(&nonce);
    let nonce = nonce.map_err(|_| OpenError::Field("gcmNonce"))?;
    let mut token = decode("encryptedToken", &response.encrypted_token)?;
    if token.len() > MAX_TOKEN {
        return Err(OpenError::Field("encryptedToken"));
    }
    let key = UnboundKey::new(&AES_256_GCM, credential).map_err(|_| OpenError::Decrypt)?;
    let opened = LessSafeKey::new(key).open_in_place(nonce, Aad::empty(), &mut token);
    let opened = opened.map_err(|_| OpenError::Decrypt)?;
    // It is put into a header, so nothing else is accepted.
    let is_token = |octet: &u8| octet.is_ascii_alphanumeric() || b".-_".contains(octet);
    if opened.is_empty() || !opened.iter().all(is_token) {
        return Err(OpenError::Token);
    }
    Ok(String::from_utf8_lossy(opened).into_owned())
}

/// The content of a TPM2B in base64.
fn content(field: &'static str, text: &str) -> Result<Vec<u8>, OpenError> {
    let octets = STANDARD.decode(text).map_err(|_| OpenError::Field(field))?;
    let (len, content) = octets.split_first_chunk().ok_or(OpenError::Field(field))?;
    let is_whole = usize::from(u16::from_be_bytes(*len)) == content.len();
    if is_whole { Ok(content.to_vec()) } else { Err(OpenError::Field(field)) }
}
