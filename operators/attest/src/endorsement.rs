//! The endorsement key.

use crate::{
    curve,
    oaep::{self, MODULUS_LEN},
    public::{KeyError, Public, check, check_symmetric},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use ring::digest::{SHA256, digest};
use std::fmt::Write;
use tpm2_protocol::data::{
    TpmAlgId, TpmEccCurve, TpmsEccParms, TpmsEccPoint, TpmsRsaParms, TpmuPublicId, TpmuPublicParms,
};

/// `fixedTPM`, `fixedParent`, `sensitiveDataOrigin`, `adminWithPolicy`, `restricted`, `decrypt`: a
/// key that was created in a TPM, never leaves it, and decrypts only what `MakeCredential` has
/// made.
pub(crate) const ATTRIBUTES: u32 = 0x0003_00b2;

/// The policy of the templates: knowledge of the endorsement hierarchy's password (TCG EK
/// Credential Profile 2.5, annex B.3, PolicyA for SHA-256).
pub(crate) const POLICY: [u8; 32] = [
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
    0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
];

/// What precedes the modulus in a SubjectPublicKeyInfo of a 2,048-bit RSA key (RFC 3279, section
/// 2.3.1) ..
const RSA_HEAD: [u8; 33] = [
    0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01,
    0x01, 0x05, 0x00, 0x03, 0x82, 0x01, 0x0f, 0x00, 0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01,
    0x00,
];
/// .. and what follows it: the exponent, 65537.
const RSA_TAIL: [u8; 5] = [0x02, 0x03, 0x01, 0x00, 0x01];

/// What precedes the point in a SubjectPublicKeyInfo of a P-256 key (RFC 5480, section 2).
const P256_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Where the modulus begins in a SubjectPublicKeyInfo, as a BIT STRING, after its algorithm.
const RSA_BITS_AT: usize = 19;
/// rsaEncryption, and id-RSAES-OAEP (RFC 4055, section 4.1), which some makers write of their keys.
const RSA_ALGORITHMS: [[u8; 11]; 2] = [
    [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01],
    [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x07],
];

const PEM_BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const PEM_END: &str = "-----END PUBLIC KEY-----";

/// The public part of an endorsement key from one of two default templates of the TCG EK Credential
/// Profile 2.5, annex B.3: L-1 (RSA, 2,048 bits) or L-2 (ECC, P-256).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EndorsementKey(pub(crate) Kind);

/// The key, by algorithm.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// The modulus, big-endian; the exponent is 65537.
    Rsa([u8; MODULUS_LEN]),
    /// The uncompressed point (SEC 1, section 2.3.3).
    P256([u8; curve::POINT_LEN]),
}

/// Not a public key in PEM.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a PUBLIC KEY in PEM")]
pub struct UnreadablePem;

impl EndorsementKey {
    /// Parses a TPM2B_PUBLIC.
    ///
    /// # Errors
    ///
    /// If it is not one, or the key is not from one of the two templates, so that it may not be
    /// protected by a TPM.
    pub fn parse(octets: &[u8]) -> Result<Self, KeyError> {
        let public = Public::parse(octets)?;
        public.check_name_alg()?;
        let attributes = public.attributes();
        let found = || format!("{attributes:#010x}");
        check("objectAttributes", attributes == ATTRIBUTES, found, "0x000300b2, as of an EK")?;
        let is_policy = public.parsed.auth_policy.as_ref() == POLICY;
        check("authPolicy", is_policy, || "another".to_owned(), "that of an EK")?;
        match (&public.parsed.parameters, &public.parsed.unique) {
            (TpmuPublicParms::Rsa(parms), TpmuPublicId::Rsa(modulus)) => rsa(parms, modulus),
            (TpmuPublicParms::Ecc(parms), TpmuPublicId::Ecc(point)) => p256(parms, point),
            _ => {
                let found = public.parsed.object_type.to_string();
                let wanted = "TPM_ALG_RSA or TPM_ALG_ECC";
                Err(KeyError::Unsuitable { field: "type", found, wanted })
            }
        }
        .map(Self)
    }

    /// As SubjectPublicKeyInfo in DER (RFC 5280, section 4.1.2.7).
    pub fn to_der(&self) -> Vec<u8> {
        match &self.0 {
            Kind::Rsa(modulus) => [&RSA_HEAD[..], modulus, &RSA_TAIL].concat(),
            Kind::P256(point) => [&P256_HEAD[..], point].concat(),
        }
    }

    /// Whether a SubjectPublicKeyInfo in DER is that of this key. An RSA key may also be named as one
    /// of id-RSAES-OAEP, with any parameters.
    pub(crate) fn is_spki(&self, der: &[u8]) -> bool {
        let ours = self.to_der();
        if matches!(self.0, Kind::P256(_)) || der == ours {
            return der == ours;
        }
        let head = der.strip_suffix(&ours[RSA_BITS_AT..]);
        let Some([0x30, 0x82, high, low, 0x30, len, algorithm @ ..]) = head else { return false };
        usize::from(u16::from_be_bytes([*high, *low])) == der.len() - 4
            && *len < 0x80
            && usize::from(*len) == algorithm.len()
            && RSA_ALGORITHMS.iter().any(|oid| algorithm.starts_with(oid))
    }

    /// The same in PEM, as in `status.tpm.ekPublicKey`, with a line feed at the end.
    pub fn to_pem(&self) -> String {
        let text = STANDARD.encode(self.to_der());
        let mut pem = format!("{PEM_BEGIN}\n");
        for (at, letter) in text.char_indices() {
            pem.push(letter);
            if at % 64 == 63 {
                pem.push('\n');
            }
        }
        if !pem.ends_with('\n') {
            pem.push('\n');
        }
        pem + PEM_END + "\n"
    }

    /// Whether a PEM contains this key. Only the keys are compared, not the white space.
    ///
    /// # Errors
    ///
    /// If it is not a public key in PEM.
    pub fn is_in(&self, pem: &str) -> Result<bool, UnreadablePem> {
        let body = pem.trim().strip_prefix(PEM_BEGIN).and_then(|it| it.strip_suffix(PEM_END));
        let text: String = body.ok_or(UnreadablePem)?.split_ascii_whitespace().collect();
        STANDARD.decode(text).map(|der| der == self.to_der()).map_err(|_| UnreadablePem)
    }

    /// The fingerprint for people to compare: SHA-256 of the DER, as 64 lower-case hexadecimal
    /// digits.
    pub fn fingerprint(&self) -> String {
        digest(&SHA256, &self.to_der()).as_ref().iter().fold(String::new(), |mut text, octet| {
            write!(text, "{octet:02x}").ok(); // Writing to a string does not fail.
            text
        })
    }
}

fn rsa(parms: &TpmsRsaParms, modulus: &[u8]) -> Result<Kind, KeyError> {
    check_symmetric(&parms.symmetric)?;
    let scheme = parms.scheme.scheme;
    check("scheme", scheme == TpmAlgId::Null, || scheme.to_string(), "TPM_ALG_NULL")?;
    let bits = u16::from_be_bytes(parms.key_bits.to_be_bytes());
    check("keyBits", bits == 2048, || bits.to_string(), "2048")?;
    let exponent = u32::from_be_bytes(parms.exponent.to_be_bytes());
    check("exponent", exponent == 0, || exponent.to_string(), "0, which means 65537")?;
    let modulus = modulus.try_into().ok().filter(oaep::is_modulus).ok_or(KeyError::NoKey)?;
    Ok(Kind::Rsa(modulus))
}

fn p256(parms: &TpmsEccParms, point: &TpmsEccPoint) -> Result<Kind, KeyError> {
    check_symmetric(&parms.symmetric)?;
    let scheme = parms.scheme.scheme;
    check("scheme", scheme == TpmAlgId::Null, || scheme.to_string(), "TPM_ALG_NULL")?;
    let curve = parms.curve_id;
    check("curveID", curve == TpmEccCurve::NistP256, || curve.to_string(), "TPM_ECC_NIST_P256")?;
    let kdf = parms.kdf.scheme;
    check("kdf", kdf == TpmAlgId::Null, || kdf.to_string(), "TPM_ALG_NULL")?;
    curve::point(&point.x, &point.y).map(Kind::P256).ok_or(KeyError::NoKey)
}
