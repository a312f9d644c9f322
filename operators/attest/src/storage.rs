//! The storage root key.

use crate::public::{KeyError, Public, check};
use ring::digest::{SHA256, digest};
use tpm2_protocol::data::{TpmAlgId, TpmaObject, TpmuPublicParms};

/// Length of a name: the algorithm and a SHA-256.
pub(crate) const NAME_LEN: usize = 34;

/// The public part of a storage key. `MakeCredential` only needs its name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StorageKey([u8; NAME_LEN]);

impl StorageKey {
    /// Parses a TPM2B_PUBLIC.
    ///
    /// # Errors
    ///
    /// If it is not one, or not a storage key that was created in a TPM and never leaves it. Any
    /// algorithm is accepted: only the TPM uses the key.
    pub fn parse(octets: &[u8]) -> Result<Self, KeyError> {
        let public = Public::parse(octets)?;
        public.check_name_alg()?;
        public.check_restricted(
            (TpmaObject::DECRYPT, "one with decrypt"),
            (TpmaObject::SIGN_ENCRYPT, "one without sign"),
        )?;
        let is_asymmetric =
            matches!(public.parsed.parameters, TpmuPublicParms::Rsa(_) | TpmuPublicParms::Ecc(_));
        let found = || public.parsed.object_type.to_string();
        check("type", is_asymmetric, found, "TPM_ALG_RSA or TPM_ALG_ECC")?;
        Ok(Self(name(public.octets)))
    }

    /// Its name (TPM 2.0 Library, part 1, section 16): the hash algorithm, and the hash of its
    /// public part.
    pub fn name(&self) -> &[u8] {
        &self.0
    }
}

/// The name of a key, from its TPMT_PUBLIC.
pub(crate) fn name(public: &[u8]) -> [u8; NAME_LEN] {
    let mut name = [0; NAME_LEN];
    let (algorithm, hash) = name.split_at_mut(2);
    algorithm.copy_from_slice(&(TpmAlgId::Sha256 as u16).to_be_bytes());
    hash.copy_from_slice(digest(&SHA256, public).as_ref());
    name
}
