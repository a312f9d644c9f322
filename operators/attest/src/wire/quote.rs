//! The second round of `POST /attest`, an extension: the challenge, and the quote that answers it.

use super::{RequestError, Response};
use crate::quote::{ChallengeSecret, Pcrs, Quote};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The answer to a machine.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Its token.
    Token(Response),
    /// What it has to prove first.
    Challenge {
        /// The challenge.
        challenge: ChallengeMessage,
    },
}

/// A challenge.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChallengeMessage {
    /// TPM2B_ID_OBJECT in base64, for the attestation key; in it is the nonce.
    pub credential_blob: String,
    /// TPM2B_ENCRYPTED_SECRET in base64.
    pub encrypted_secret: String,
    /// The PCRs to quote, in the bank of SHA-256.
    pub pcrs: Vec<u8>,
    /// The salt of the ticket in base64, 16 octets.
    pub salt: String,
    /// Until when it can be answered, in seconds since 1970.
    pub expires: u64,
    /// How long an event log may be, in octets, that follows the answer in the same body; none may, if it
    /// is 0.
    #[serde(default)]
    pub event_log: usize,
}

/// The answer to a challenge. All fields but `expires` are base64.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct QuoteBody {
    pub(crate) salt: String,
    pub(crate) expires: u64,
    /// TPMS_ATTEST.
    pub(crate) quoted: String,
    /// TPMT_SIGNATURE.
    pub(crate) signature: String,
    /// Values by PCR.
    pub(crate) pcrs: BTreeMap<u8, String>,
}

impl QuoteBody {
    pub(crate) fn parse(&self) -> Result<(ChallengeSecret, Quote), RequestError> {
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| RequestError::Base64("quote"));
        let salt =
            decode(&self.salt)?.try_into().map_err(|_| RequestError::Base64("quote.salt"))?;
        let (quoted, signature) = (decode(&self.quoted)?, decode(&self.signature)?);
        let pcrs = self.pcrs.iter().map(|(index, value)| {
            let value = decode(value)?.try_into();
            Ok((*index, value.map_err(|_| RequestError::Base64("quote.pcrs"))?))
        });
        let pcrs = pcrs.collect::<Result<Pcrs, RequestError>>()?;
        let ticket = ChallengeSecret { salt, expires: self.expires };
        Ok((ticket, Quote { quoted, signature, pcrs }))
    }

    pub(crate) fn of(asked: &ChallengeMessage, quote: &Quote) -> Self {
        let pcrs = quote.pcrs.iter().map(|(index, value)| (*index, STANDARD.encode(value)));
        Self {
            salt: asked.salt.clone(),
            expires: asked.expires,
            quoted: STANDARD.encode(&quote.quoted),
            signature: STANDARD.encode(&quote.signature),
            pcrs: pcrs.collect(),
        }
    }
}
