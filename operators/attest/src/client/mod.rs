//! What a machine does: the commands for its TPM, and how it opens the answer to its request. Whoever has
//! the socket of a TPM sends them; nothing here waits.
//!
//! Keys are created by the templates that go-tpm has, so that this TPM has the same EK for the agent of
//! Azure/unbounded, which takes RSA, and for ours. Both are transient: they are flushed after use.

mod command;
mod host_key;
mod nv;
mod open;
mod quote;
mod response;
mod template;

#[cfg(test)]
mod tests;

pub use command::{
    BuildError, activate_credential, create_ek, create_srk, flush, policy_secret,
    start_policy_session,
};
pub use host_key::{
    COORDINATE, DIGEST, POINT, agree, agreed, create_host_key, point, sign, signed,
};
pub use nv::{
    EK_CHAIN, MAX_NV, NvArea, certificates, ek_certificate, nv_area, nv_content, nv_read,
    nv_read_public,
};
pub use open::{EncryptedCredential, MAX_TOKEN, OpenError, open};
pub use quote::{create_ak, pcr_read, pcr_values, quote, quoted};
pub use response::{Created, Handle, Rc, ResponseError, activated, created, done, started};
pub use template::EkTemplate;

use crate::{
    quote::Quote,
    wire::{Body, ChallengeMessage, QuoteBody},
};
use base64::{Engine, engine::general_purpose::STANDARD};

/// What a machine presents: keys, each a TPM2B_PUBLIC, the certificates of the first of them, each in DER,
/// and a quote with the challenge that it answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Presented<'a> {
    /// The endorsement key.
    pub ek: &'a [u8],
    /// The storage root key.
    pub srk: &'a [u8],
    /// The certificate of the endorsement key, and those between it and a root.
    pub certificates: &'a [&'a [u8]],
    /// The attestation key.
    pub ak: Option<&'a [u8]>,
    /// A quote by that key.
    pub quote: Option<(&'a ChallengeMessage, &'a Quote)>,
}

/// The body of `POST /attest`.
///
/// # Errors
///
/// None that keys could cause: they are written as text.
pub fn request(presented: Presented<'_>) -> Result<String, serde_json::Error> {
    let Presented { ek, srk, certificates, ak, quote } = presented;
    serde_json::to_string(&Body {
        ek_pub: STANDARD.encode(ek),
        srk_pub: STANDARD.encode(srk),
        ek_certificates: certificates.iter().map(|der| STANDARD.encode(der)).collect(),
        ak_pub: ak.map(|ak| STANDARD.encode(ak)),
        quote: quote.map(|(asked, quote)| QuoteBody::of(asked, quote)),
    })
}

/// The same with an event log behind it, where the challenge says that there may be one.
pub fn with_event_log(request: &str, log: &[u8]) -> Vec<u8> {
    [request.as_bytes(), log].concat()
}
