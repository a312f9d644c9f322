//! The public part of a key, as a TPM writes it.

use tpm2_protocol::{
    TpmUnmarshal,
    data::{TpmAlgId, TpmaObject, TpmtPublic, TpmtSymDef, TpmuSymKeyBits, TpmuSymMode},
};

/// The longest TPM2B_PUBLIC that is accepted: that of a 4,096-bit RSA key has about 580 octets.
const MAX_LEN: usize = 1024;

/// Why a key is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// The octets are not a public key.
    #[error("not a TPM2B_PUBLIC")]
    Malformed,
    /// It is not a key of the required kind.
    #[error("{field} is {found}, but must be {wanted}")]
    Unsuitable {
        /// The field that is wrong, in the terms of TPM 2.0 Library, part 2.
        field: &'static str,
        /// Its value.
        found: String,
        /// The required value.
        wanted: &'static str,
    },
    /// The modulus or the point cannot belong to a key.
    #[error("the unique field is not a public key of this type")]
    NoKey,
}

/// A public key, and its octets without the length (TPMT_PUBLIC), from which its name is computed.
pub(crate) struct Public<'a> {
    pub(crate) octets: &'a [u8],
    pub(crate) parsed: TpmtPublic,
}

impl<'a> Public<'a> {
    /// Parses a TPM2B_PUBLIC (TPM 2.0 Library, part 2, section 12.2.5) without trailing octets.
    pub(crate) fn parse(octets: &'a [u8]) -> Result<Self, KeyError> {
        if octets.len() > MAX_LEN {
            return Err(KeyError::Malformed);
        }
        let (len, octets) = octets.split_first_chunk().ok_or(KeyError::Malformed)?;
        if usize::from(u16::from_be_bytes(*len)) != octets.len() {
            return Err(KeyError::Malformed);
        }
        match TpmtPublic::unmarshal(octets) {
            Ok((parsed, [])) => Ok(Self { octets, parsed }),
            _ => Err(KeyError::Malformed),
        }
    }

    /// Only SHA-256 is accepted for the name and what is derived from it.
    pub(crate) fn check_name_alg(&self) -> Result<(), KeyError> {
        let name_alg = self.parsed.name_alg;
        check("nameAlg", name_alg == TpmAlgId::Sha256, || name_alg.to_string(), "TPM_ALG_SHA256")
    }

    /// The attributes, including reserved bits.
    pub(crate) fn attributes(&self) -> u32 {
        self.octets
            .get(4..8)
            .and_then(|octets| octets.try_into().ok())
            .map_or(self.parsed.object_attributes.bits(), u32::from_be_bytes)
    }

    /// Requires a restricted key that was created in a TPM and never leaves it, with the attribute
    /// `with` and without `without`. Each comes with what an error says is wanted.
    pub(crate) fn check_restricted(
        &self,
        with: (TpmaObject, &'static str),
        without: (TpmaObject, &'static str),
    ) -> Result<(), KeyError> {
        let found = || format!("{:#010x}", self.attributes());
        for (attribute, wanted) in [
            (TpmaObject::FIXED_TPM, "one with fixedTPM"),
            (TpmaObject::FIXED_PARENT, "one with fixedParent"),
            (TpmaObject::SENSITIVE_DATA_ORIGIN, "one with sensitiveDataOrigin"),
            (TpmaObject::RESTRICTED, "one with restricted"),
            with,
        ] {
            check("objectAttributes", self.has(attribute), found, wanted)?;
        }
        let (attribute, wanted) = without;
        check("objectAttributes", !self.has(attribute), found, wanted)
    }

    /// Whether all of these are set.
    fn has(&self, attributes: TpmaObject) -> bool {
        self.parsed.object_attributes.contains(attributes)
    }
}

/// An error about `field`, unless `is_right` holds.
pub(crate) fn check(
    field: &'static str,
    is_right: bool,
    found: impl FnOnce() -> String,
    wanted: &'static str,
) -> Result<(), KeyError> {
    if is_right { Ok(()) } else { Err(KeyError::Unsuitable { field, found: found(), wanted }) }
}

/// AES-128 in CFB mode.
pub(crate) fn aes_128_cfb() -> TpmtSymDef {
    TpmtSymDef {
        algorithm: TpmAlgId::Aes,
        key_bits: TpmuSymKeyBits::Aes(128.into()),
        mode: TpmuSymMode::Aes(TpmAlgId::Cfb),
    }
}

/// Requires AES-128 in CFB mode, with which a storage key protects its children.
pub(crate) fn check_symmetric(symmetric: &TpmtSymDef) -> Result<(), KeyError> {
    let found = || match (&symmetric.key_bits, &symmetric.mode) {
        (TpmuSymKeyBits::Aes(bits), TpmuSymMode::Aes(mode)) => {
            format!("{} with {bits} bits and {mode}", symmetric.algorithm)
        }
        _ => symmetric.algorithm.to_string(),
    };
    check("symmetric", *symmetric == aes_128_cfb(), found, "AES-128 in CFB mode")
}
