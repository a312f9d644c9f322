//! The key of a rented server, where its TPM has it: ECC, P-256, which signs with ECDSA (TPM 2.0 Library, part
//! 3, section 20.2) and agrees on secrets (section 14.5).
//!
//! A primary key: the TPM makes the same one from the same template, and keeps nothing of it. Each
//! installation has a template of its own, so that what was encrypted to the one before is not for it.

use super::{
    command::{BuildError, build, create, empty_password},
    response::{Handle, ResponseError, body},
    template::host_key,
};
use crate::{
    curve::{self, COORDINATE_LEN, POINT_LEN, coordinate},
    public::Public,
};
use tpm2_protocol::{
    data::{
        Tpm2bDigest, Tpm2bEccParameter, Tpm2bEccPoint, TpmAlgId, TpmRh, TpmSt, TpmsEccPoint,
        TpmsSchemeHash, TpmtSigScheme, TpmtTkHashcheck, TpmuPublicId, TpmuSigScheme, TpmuSignature,
    },
    frame::{TpmEcdhZGenCommand, TpmEcdhZGenResponse, TpmSignCommand, TpmSignResponse},
};

/// Bytes of a coordinate.
pub const COORDINATE: usize = COORDINATE_LEN;
/// Bytes of an uncompressed point (SEC 1, section 2.3.3).
pub const POINT: usize = POINT_LEN;
/// Bytes of what is signed, which is a digest by SHA-256.
pub const DIGEST: usize = 32;

/// Tags of DER.
const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;

/// `TPM2_CreatePrimary` of the key of an installation, which `salt` tells apart from others.
///
/// # Errors
///
/// None, as its parts have fixed lengths.
pub fn create_host_key(salt: &[u8; COORDINATE]) -> Result<Vec<u8>, BuildError> {
    create(TpmRh::Owner, host_key(salt)?)
}

/// The uncompressed point of a TPM2B_PUBLIC.
///
/// # Errors
///
/// If it is no key on P-256.
pub fn point(public: &[u8]) -> Result<[u8; POINT], ResponseError> {
    let parsed = Public::parse(public).map_err(|_| ResponseError::Malformed)?.parsed;
    let TpmuPublicId::Ecc(found) = &parsed.unique else { return Err(ResponseError::Malformed) };
    curve::point(&found.x, &found.y).ok_or(ResponseError::Malformed)
}

/// `TPM2_Sign` of a digest, with ECDSA and SHA-256.
///
/// # Errors
///
/// None, as its parts have fixed lengths.
pub fn sign(key: Handle, digest: &[u8; DIGEST]) -> Result<Vec<u8>, BuildError> {
    let hash = TpmsSchemeHash { hash_alg: TpmAlgId::Sha256 };
    let command = TpmSignCommand {
        handles: [key.0.into()],
        digest: Tpm2bDigest::try_from(&digest[..])?,
        in_scheme: TpmtSigScheme { scheme: TpmAlgId::Ecdsa, details: TpmuSigScheme::Hash(hash) },
        // The key is not restricted: the TPM need not have made the digest.
        validation: TpmtTkHashcheck {
            tag: TpmSt::HashCheck,
            hierarchy: TpmRh::Null,
            digest: Tpm2bDigest::default(),
        },
    };
    build(&command, &[empty_password()])
}

/// The signature that [`sign`] has made, in DER (RFC 3279, section 2.2.3).
///
/// # Errors
///
/// There is none.
pub fn signed(response: &[u8]) -> Result<Vec<u8>, ResponseError> {
    let parsed: TpmSignResponse = body(response)?;
    let TpmuSignature::Ecdsa(found) = &parsed.signature.signature else {
        return Err(ResponseError::Malformed);
    };
    let numbers = [&found.signature_r, &found.signature_s].map(|it| integer(it));
    let [Some(r), Some(s)] = numbers else { return Err(ResponseError::Malformed) };
    let numbers = [r, s].concat();
    let len = u8::try_from(numbers.len()).map_err(|_| ResponseError::Malformed)?;
    Ok([&[SEQUENCE, len], &numbers[..]].concat())
}

/// An integer that is not negative; `None` if it is longer than a coordinate.
fn integer(octets: &[u8]) -> Option<Vec<u8>> {
    let whole = coordinate(octets)?;
    let zeros = whole.iter().take_while(|octet| **octet == 0).count();
    let digits = &whole[zeros.min(COORDINATE - 1)..];
    let sign: &[u8] = if digits[0] & 0x80 == 0 { &[] } else { &[0] };
    let len = u8::try_from(sign.len() + digits.len()).ok()?;
    Some([&[INTEGER, len], sign, digits].concat())
}

/// `TPM2_ECDH_ZGen` with the uncompressed point of the other side.
///
/// # Errors
///
/// None, as its parts have fixed lengths.
pub fn agree(key: Handle, peer: &[u8; POINT]) -> Result<Vec<u8>, BuildError> {
    let (x, y) = peer[1..].split_at(COORDINATE);
    let (x, y) = (Tpm2bEccParameter::try_from(x)?, Tpm2bEccParameter::try_from(y)?);
    let in_point = Tpm2bEccPoint { inner: TpmsEccPoint { x, y } };
    build(&TpmEcdhZGenCommand { handles: [key.0.into()], in_point }, &[empty_password()])
}

/// The x-coordinate on which [`agree`] has agreed.
///
/// # Errors
///
/// There is none.
pub fn agreed(response: &[u8]) -> Result<[u8; COORDINATE], ResponseError> {
    let parsed: TpmEcdhZGenResponse = body(response)?;
    coordinate(&parsed.out_point.inner.x).ok_or(ResponseError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_written_as_der_has_them() {
        for (octets, der) in [
            (&[][..], &[2, 1, 0][..]),
            (&[0, 0, 1], &[2, 1, 1]),
            (&[0x7f], &[2, 1, 0x7f]),
            (&[0x80, 1], &[2, 3, 0, 0x80, 1]),
        ] {
            assert_eq!(integer(octets).unwrap(), der);
        }
        assert_eq!(integer(&[0xff; 32]).unwrap().len(), 35);
        assert_eq!(integer(&[1; 33]), None);
    }
}
