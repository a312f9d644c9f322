//! The attestation key (AK), which signs only what its TPM has made.

use crate::{
    curve::{self, POINT_LEN},
    public::{KeyError, Public, check},
    storage::{NAME_LEN, name},
};
use tpm2_protocol::data::{
    TpmAlgId, TpmEccCurve, TpmaObject, TpmuAsymScheme, TpmuPublicId, TpmuPublicParms,
};

/// The public part of an attestation key: ECC, P-256, which signs with ECDSA and SHA-256.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AttestationKey {
    name: [u8; NAME_LEN],
    point: [u8; POINT_LEN],
}

impl AttestationKey {
    /// Parses a TPM2B_PUBLIC.
    ///
    /// # Errors
    ///
    /// If it is not one, or not a key that was created in a TPM, never leaves it, and signs only what that TPM
    /// has made (TPM 2.0 Library, part 1, section 25.3, `restricted`).
    pub fn parse(octets: &[u8]) -> Result<Self, KeyError> {
        let public = Public::parse(octets)?;
        public.check_name_alg()?;
        public.check_restricted(
            (TpmaObject::SIGN_ENCRYPT, "one with sign"),
            (TpmaObject::DECRYPT, "one without decrypt"),
        )?;
        let (TpmuPublicParms::Ecc(parms), TpmuPublicId::Ecc(point)) =
            (&public.parsed.parameters, &public.parsed.unique)
        else {
            let found = public.parsed.object_type.to_string();
            return Err(KeyError::Unsuitable { field: "type", found, wanted: "TPM_ALG_ECC" });
        };
        let curve = parms.curve_id;
        let is_p256 = curve == TpmEccCurve::NistP256;
        check("curveID", is_p256, || curve.to_string(), "TPM_ECC_NIST_P256")?;
        let is_sha256 = matches!(
            &parms.scheme.details,
            TpmuAsymScheme::Hash(scheme) if scheme.hash_alg == TpmAlgId::Sha256
        );
        let is_ecdsa = parms.scheme.scheme == TpmAlgId::Ecdsa && is_sha256;
        let found = || match &parms.scheme.details {
            TpmuAsymScheme::Hash(hash) => {
                format!("{} with {}", parms.scheme.scheme, hash.hash_alg)
            }
            TpmuAsymScheme::Null => parms.scheme.scheme.to_string(),
        };
        check("scheme", is_ecdsa, found, "ECDSA with SHA-256")?;
        let point = curve::point(&point.x, &point.y).ok_or(KeyError::NoKey)?;
        Ok(Self { name: name(public.octets), point })
    }

    /// Its name (TPM 2.0 Library, part 1, section 16).
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    pub(super) fn point(&self) -> &[u8; POINT_LEN] {
        &self.point
    }
}
