//! A token that is bound to a TPM: the installed system registers with that TPM alone.
//!
//! ```text
//! endorsement key ─► is it that of the token? ─► a proof, which this TPM alone can decrypt ─► registration
//! ```
//!
//! The proof says which key of the machine it is for, so nobody registers another one with it.

use super::Refusal;
use crate::rented_host::PublicKey;
use metal_api::BootToken;
use metal_base::hex;
use sha2::{Digest, Sha256};

/// The hash of the endorsement key that a token is bound to.
pub fn bound(token: &BootToken) -> Option<&str> {
    token.spec.binding.as_ref()?.ek_hash.as_deref()
}

/// Whether an endorsement key of this hash is the one that the token is bound to.
///
/// # Errors
///
/// If it is another one, or none.
pub fn check(token: &BootToken, proved: Option<&str>) -> Result<(), Refusal> {
    let Some(wanted) = bound(token) else { return Ok(()) };
    match proved {
        Some(proved) if proved.eq_ignore_ascii_case(wanted) => Ok(()),
        Some(other) => Err(Refusal::Unfit(format!(
            "the SHA-256 of its endorsement key is {other}, and not spec.binding.ekHash"
        ))),
        None => Err(Refusal::Unfit(
            "it has not proved the endorsement key of spec.binding.ekHash".to_owned(),
        )),
    }
}

/// What a proof states: this key belongs to a machine whose TPM has the endorsement key with this hash.
pub fn subject(key: &PublicKey, ek_hash: &str) -> String {
    let hash = Sha256::new().chain_update(key.point()).chain_update(ek_hash.to_ascii_lowercase());
    hex(&hash.finalize())
}
