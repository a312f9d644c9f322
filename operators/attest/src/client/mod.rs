//! What a machine does: the commands for its TPM, and how it opens the answer to its request. Whoever has
//! the socket of a TPM sends them; nothing here waits.
//!
//! Keys are created by the templates that go-tpm has, so that this TPM has the same EK for the agent of
//! Azure/unbounded, which takes RSA, and for ours. Both are transient: they are flushed after use.

mod command;
mod nv;
mod open;
mod response;
mod template;

#[cfg(test)]
mod tests;

pub use command::{
    BuildError, activate_credential, create_ek, create_srk, flush, policy_secret,
    start_policy_session,
};
pub use nv::{
    EK_CHAIN, MAX_NV, NvArea, certificates, ek_certificate, nv_area, nv_content, nv_read,
    nv_read_public,
};
pub use open::{MAX_TOKEN, OpenError, Wrapped, open};
pub use response::{Created, Handle, Rc, ResponseError, activated, created, done, started};
pub use template::EkTemplate;

use crate::wire::Body;
use base64::{Engine, engine::general_purpose::STANDARD};

/// The body of `POST /attest` for these keys, each a TPM2B_PUBLIC, and the certificates of the first of
/// them, each in DER.
///
/// # Errors
///
/// None that keys could cause: they are written as text.
pub fn request(ek: &[u8], srk: &[u8], certificates: &[&[u8]]) -> Result<String, serde_json::Error> {
    serde_json::to_string(&Body {
        ek_pub: STANDARD.encode(ek),
        srk_pub: STANDARD.encode(srk),
        ek_certificates: certificates.iter().map(|der| STANDARD.encode(der)).collect(),
    })
}
