//! The templates of keys, as go-tpm and tpm2-tools have them: the TPM creates the same key from the same
//! template, again and again.

use crate::{endorsement, public::aes_128_cfb};
use tpm2_protocol::{
    TpmError,
    data::{
        Tpm2bDigest, Tpm2bEccParameter, Tpm2bPublicKeyRsa, TpmAlgId, TpmEccCurve, TpmaObject,
        TpmsEccParms, TpmsEccPoint, TpmsRsaParms, TpmsSchemeHash, TpmtEccScheme, TpmtKdfScheme,
        TpmtPublic, TpmtRsaScheme, TpmtSymDef, TpmuAsymScheme, TpmuKdfScheme, TpmuPublicId,
        TpmuPublicParms, TpmuSymKeyBits, TpmuSymMode,
    },
};

/// `fixedTPM`, `fixedParent`, `sensitiveDataOrigin`, `userWithAuth`, `noDA`, `restricted`, `decrypt`.
const SRK_ATTRIBUTES: u32 = 0x0003_0472;

/// The template of an endorsement key (TCG EK Credential Profile 2.5, annex B.3); `--endorsement-key` of the
/// agent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EkTemplate {
    /// L-1: RSA, 2,048 bits.
    Rsa2048,
    /// L-2: ECC, P-256.
    P256,
}

impl EkTemplate {
    pub(super) fn public(self) -> Result<TpmtPublic, TpmError> {
        match self {
            Self::Rsa2048 => rsa(endorsement::ATTRIBUTES, &endorsement::POLICY),
            Self::P256 => p256(endorsement::ATTRIBUTES, &endorsement::POLICY),
        }
    }
}

/// The storage root key: template H-1 of the TCG TPM v2.0 Provisioning Guidance 1.0, section 7.5.1.
pub(super) fn storage_root_key() -> Result<TpmtPublic, TpmError> {
    rsa(SRK_ATTRIBUTES, &[])
}

/// `fixedTPM`, `fixedParent`, `sensitiveDataOrigin`, `userWithAuth`, `noDA`, `restricted`, `sign`.
const AK_ATTRIBUTES: u32 = 0x0005_0472;

/// An attestation key: ECC, P-256, ECDSA with SHA-256 (TCG TPM 2.0 Keys for Device Identity and Attestation
/// 1.0, section 7.3.4).
pub(super) fn attestation_key() -> Result<TpmtPublic, TpmError> {
    let hash = TpmsSchemeHash { hash_alg: TpmAlgId::Sha256 };
    let mut key = p256(AK_ATTRIBUTES, &[])?;
    if let TpmuPublicParms::Ecc(parms) = &mut key.parameters {
        parms.symmetric = no_symmetric();
        parms.scheme =
            TpmtEccScheme { scheme: TpmAlgId::Ecdsa, details: TpmuAsymScheme::Hash(hash) };
    }
    Ok(key)
}

/// `fixedTPM`, `fixedParent`, `sensitiveDataOrigin`, `userWithAuth`, `noDA`, `decrypt`, `sign`.
const HOST_KEY_ATTRIBUTES: u32 = 0x0006_0472;

/// The key of a rented server: ECC, P-256, which signs anything and agrees on secrets. `salt` is in place of
/// the x-coordinate.
pub(super) fn host_key(salt: &[u8; 32]) -> Result<TpmtPublic, TpmError> {
    let mut key = p256(HOST_KEY_ATTRIBUTES, &[])?;
    if let TpmuPublicParms::Ecc(parms) = &mut key.parameters {
        parms.symmetric = no_symmetric();
    }
    let y = Tpm2bEccParameter::try_from(&[0; 32][..])?;
    key.unique = TpmuPublicId::Ecc(TpmsEccPoint { x: Tpm2bEccParameter::try_from(&salt[..])?, y });
    Ok(key)
}

fn no_symmetric() -> TpmtSymDef {
    TpmtSymDef {
        algorithm: TpmAlgId::Null,
        key_bits: TpmuSymKeyBits::Null,
        mode: TpmuSymMode::Null,
    }
}

/// A storage key on P-256; the zeros instead of a point are part of the template.
fn p256(attributes: u32, policy: &[u8]) -> Result<TpmtPublic, TpmError> {
    let scheme = TpmtEccScheme { scheme: TpmAlgId::Null, details: TpmuAsymScheme::Null };
    let kdf = TpmtKdfScheme { scheme: TpmAlgId::Null, details: TpmuKdfScheme::Null };
    let zeros = Tpm2bEccParameter::try_from(&[0; 32][..])?;
    Ok(TpmtPublic {
        object_type: TpmAlgId::Ecc,
        name_alg: TpmAlgId::Sha256,
        object_attributes: TpmaObject::from_bits_truncate(attributes),
        auth_policy: Tpm2bDigest::try_from(policy)?,
        parameters: TpmuPublicParms::Ecc(TpmsEccParms {
            symmetric: aes_128_cfb(),
            scheme,
            curve_id: TpmEccCurve::NistP256,
            kdf,
        }),
        unique: TpmuPublicId::Ecc(TpmsEccPoint { x: zeros, y: zeros }),
    })
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
