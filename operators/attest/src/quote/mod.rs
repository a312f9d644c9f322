//! What a machine has booted, as its TPM says: the values of platform configuration registers (PCRs), signed
//! by a key that signs nothing else (TPM 2.0 Library, part 3, section 18.4).

mod challenge;
mod key;
#[cfg(test)]
mod tests;

pub use challenge::{Challenge, ChallengeSecret};
pub use key::AttestationKey;

use crate::curve::COORDINATE_LEN;
use ring::{
    digest::{Context, SHA256},
    signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey},
};
use std::collections::{BTreeMap, BTreeSet};
use tpm2_protocol::{
    TpmUnmarshal,
    data::{TpmAlgId, TpmsAttest, TpmsSignatureEcc, TpmtSignature, TpmuAttest, TpmuSignature},
};

/// Values of PCRs in the bank of SHA-256.
pub type Pcrs = BTreeMap<u8, [u8; 32]>;

/// What a TPM has signed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Quote {
    /// TPMS_ATTEST.
    pub quoted: Vec<u8>,
    /// TPMT_SIGNATURE.
    pub signature: Vec<u8>,
    /// The values that it should be about.
    pub pcrs: Pcrs,
}

/// Why a quote is not valid.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum QuoteError {
    /// It is not a quote of a TPM.
    #[error("it is not a quote that a TPM has made")]
    Malformed,
    /// It was signed by another key.
    #[error("its signature is not that of the attestation key")]
    Signature,
    /// It answers another challenge.
    #[error("it is not about the challenge of this machine, or of another boot")]
    Nonce,
    /// It is about other registers.
    #[error("it is not about the PCRs that were asked for, in the bank of SHA-256")]
    Selection,
    /// The values differ.
    #[error("the values of PCRs that were presented are not those that were signed")]
    Values,
}

impl Quote {
    /// Verifies that the TPM of `key` has signed, after it was given `nonce`, that its PCRs `wanted` have
    /// these values.
    ///
    /// # Errors
    ///
    /// Why that is not so.
    pub fn verify(
        &self,
        key: &AttestationKey,
        nonce: &[u8; 32],
        wanted: &BTreeSet<u8>,
    ) -> Result<(), QuoteError> {
        self.verify_signature(key)?;
        // TPM_GENERATED_VALUE is checked with the rest of its form.
        let Ok((attest, [])) = TpmsAttest::unmarshal(&self.quoted) else {
            return Err(QuoteError::Malformed);
        };
        let TpmuAttest::Quote(info) = &attest.attested else { return Err(QuoteError::Malformed) };
        if attest.extra_data.as_ref() != nonce {
            return Err(QuoteError::Nonce);
        }
        let [selection] = &*info.pcr_select else { return Err(QuoteError::Selection) };
        let is_about = selection.hash == TpmAlgId::Sha256
            && selected(&selection.pcr_select) == *wanted
            && self.pcrs.keys().eq(wanted);
        if !is_about {
            return Err(QuoteError::Selection);
        }
        let mut digest = Context::new(&SHA256);
        self.pcrs.values().for_each(|value| digest.update(value));
        let is_same = info.pcr_digest.as_ref() == digest.finish().as_ref();
        if is_same { Ok(()) } else { Err(QuoteError::Values) }
    }

    fn verify_signature(&self, key: &AttestationKey) -> Result<(), QuoteError> {
        let Ok((signature, [])) = TpmtSignature::unmarshal(&self.signature) else {
            return Err(QuoteError::Malformed);
        };
        let TpmuSignature::Ecdsa(signature) = signature.signature else {
            return Err(QuoteError::Signature);
        };
        let fixed = fixed(&signature).ok_or(QuoteError::Signature)?;
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.point());
        key.verify(&self.quoted, &fixed).map_err(|_| QuoteError::Signature)
    }
}

/// Both numbers of a signature with SHA-256, one after the other, each with its leading zeros.
fn fixed(signature: &TpmsSignatureEcc) -> Option<[u8; 2 * COORDINATE_LEN]> {
    let mut fixed = [0; 2 * COORDINATE_LEN];
    let (r, s) = fixed.split_at_mut(COORDINATE_LEN);
    for (whole, number) in [(r, &signature.signature_r), (s, &signature.signature_s)] {
        let zeros = COORDINATE_LEN.checked_sub(number.len())?;
        whole[zeros..].copy_from_slice(number);
    }
    Some(fixed).filter(|_| signature.hash == TpmAlgId::Sha256)
}

/// The PCRs of a TPMS_PCR_SELECT, of which each octet has eight.
fn selected(octets: &[u8]) -> BTreeSet<u8> {
    let bits =
        (0_u8..).zip(octets.iter().flat_map(|octet| (0..8).map(move |bit| octet >> bit & 1)));
    bits.filter(|(_, bit)| *bit == 1).map(|(at, _)| at).collect()
}
