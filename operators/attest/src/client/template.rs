//! The templates of keys, as go-tpm and tpm2-tools have them: the TPM creates the same key from the same
//! template, again and again.

use crate::{endorsement, public::aes_128_cfb};
use tpm2_protocol::{
    TpmError,
    data::{
        Tpm2bDigest, Tpm2bPublicKeyRsa, TpmAlgId, TpmaObject, TpmsRsaParms, TpmtPublic,
        TpmtRsaScheme, TpmuAsymScheme, TpmuPublicId, TpmuPublicParms,
    },
};

/// `fixedTPM`, `fixedParent`, `sensitiveDataOrigin`, `userWithAuth`, `noDA`, `restricted`, `decrypt`.
const SRK_ATTRIBUTES: u32 = 0x0003_0472;

/// The endorsement key: template L-1 of the TCG EK Credential Profile 2.5, annex B.3.3.
pub(super) fn endorsement_key() -> Result<TpmtPublic, TpmError> {
    rsa(endorsement::ATTRIBUTES, &endorsement::POLICY)
}

/// The storage root key: template H-1 of the TCG TPM v2.0 Provisioning Guidance 1.0, section 7.5.1.
pub(super) fn storage_root_key() -> Result<TpmtPublic, TpmError> {
    rsa(SRK_ATTRIBUTES, &[])
}

/// A storage key of RSA with 2,048 bits; the zeros instead of a modulus are part of the template.
fn rsa(attributes: u32, policy: &[u8]) -> Result<TpmtPublic, TpmError> {
    let scheme = TpmtRsaScheme { scheme: TpmAlgId::Null, details: TpmuAsymScheme::Null };
    Ok(TpmtPublic {
        object_type: TpmAlgId::Rsa,
        name_alg: TpmAlgId::Sha256,
        object_attributes: TpmaObject::from_bits_truncate(attributes),
        auth_policy: Tpm2bDigest::try_from(policy)?,
        parameters: TpmuPublicParms::Rsa(TpmsRsaParms {
            symmetric: aes_128_cfb(),
            scheme,
            key_bits: 2048.into(),
            exponent: 0.into(),
        }),
        unique: TpmuPublicId::Rsa(Tpm2bPublicKeyRsa::try_from(&[0; 256][..])?),
    })
}
