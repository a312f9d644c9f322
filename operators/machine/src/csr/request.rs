//! Certification requests (PKCS #10, RFC 2986), as kubelets write them.

use base64::{Engine, engine::general_purpose::STANDARD};
use der::{
    Decode, Reader, SliceReader, Tag, TagNumber, Tagged,
    asn1::{AnyRef, UintRef},
};

const BEGIN: &str = "-----BEGIN CERTIFICATE REQUEST-----";
const END: &str = "-----END CERTIFICATE REQUEST-----";
/// A request with an RSA key of 4,096 bits has 1,600 bytes of PEM.
pub(super) const LONGEST: usize = 16 << 10;
/// The signed part is of this form (section 4.1).
const VERSION: u8 = 0;

// Object identifiers, as DER has them. Of a subject (X.520): 2.5.4.3 and 2.5.4.10.
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ORGANIZATION: &[u8] = &[0x55, 4, 10];
// Of keys (RFC 3279, section 2.3): 1.2.840.113549.1.1.1 and 1.2.840.10045.2.1.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
// Of curves (RFC 5480, section 2.1.1.1): 1.2.840.10045.3.1.7 and 1.3.132.0.34.
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const P384: &[u8] = &[0x2b, 0x81, 4, 0, 0x22];
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// The subject of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `CN` of the subject.
    pub common_name: String,
    /// `O` of the subject; there is one.
    pub organization: String,
}

/// Why a request is not one of a kubelet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not exactly one PEM block.
    #[error("the request is not a single PEM block")]
    Pem,
    /// Not a certification request in DER.
    #[error("the request is not a DER-encoded PKCS #10 request")]
    Der,
    /// Its subject is not one common name and one organization.
    #[error("the subject must consist of exactly one common name and one organization")]
    Subject,
    /// It asks for extensions, such as other names.
    #[error("the request has attributes; alternative names and extensions are not allowed")]
    Attributes,
    /// Its key type is not allowed.
    #[error("the key must be ECDSA P-256 or P-384, or RSA with 2048 to 4096 bits")]
    Key,
}

impl From<der::Error> for RequestError {
    fn from(_: der::Error) -> Self {
        Self::Der
    }
}

impl Request {
    /// Reads a request in PEM.
    ///
    /// # Errors
    ///
    /// If it is invalid, or requests more than a name.
    pub fn parse(pem: &[u8]) -> Result<Self, RequestError> {
        let der = decode(pem)?;
        let [info, _, _] = parts(whole(&der)?)?;
        let [version, subject, key, attributes] = parts(info)?;
        if version.tag() != Tag::Integer || version.value() != [VERSION] {
            return Err(RequestError::Der);
        }
        let of_attributes = Tag::ContextSpecific { constructed: true, number: TagNumber::N0 };
        if attributes.tag() != of_attributes || !attributes.value().is_empty() {
            return Err(RequestError::Attributes);
        }
        check_key(key)?;
        read_subject(subject)
    }
}

fn decode(pem: &[u8]) -> Result<Vec<u8>, RequestError> {
    let text = std::str::from_utf8(pem).ok().filter(|text| text.len() <= LONGEST);
    let text = text.map(str::trim).and_then(|text| text.strip_prefix(BEGIN)?.strip_suffix(END));
    let body: String = text.ok_or(RequestError::Pem)?.split_ascii_whitespace().collect();
    STANDARD.decode(body).map_err(|_| RequestError::Pem)
}

/// Parses exactly one value.
fn whole(bytes: &[u8]) -> Result<AnyRef<'_>, RequestError> {
    Ok(AnyRef::from_der(bytes)?)
}

/// The values of a sequence of this length.
fn parts<const N: usize>(value: AnyRef<'_>) -> Result<[AnyRef<'_>; N], RequestError> {
    if value.tag() != Tag::Sequence {
        return Err(RequestError::Der);
    }
    let all = values(value.value(), N)?;
    <[AnyRef<'_>; N]>::try_from(all).map_err(|_| RequestError::Der)
}

/// Parses values, at most this many.
fn values(bytes: &[u8], most: usize) -> Result<Vec<AnyRef<'_>>, RequestError> {
    let mut reader = SliceReader::new(bytes)?;
    let mut all = vec![];
    while !reader.is_finished() {
        if all.len() == most {
            return Err(RequestError::Der);
        }
        all.push(AnyRef::decode(&mut reader)?);
    }
    Ok(all)
}

/// One common name and one organization, in either order, each in a set of its own or both in one.
fn read_subject(subject: AnyRef<'_>) -> Result<Request, RequestError> {
    let (mut common_name, mut organization) = (None, None);
    let sets = values(subject.value(), 2).map_err(|_| RequestError::Subject)?;
    for set in sets {
        let pairs = values(set.value(), 2).map_err(|_| RequestError::Subject)?;
        for pair in pairs.iter().filter(|_| set.tag() == Tag::Set) {
            let [kind, value] = parts(*pair)?;
            let value = text(value).ok_or(RequestError::Subject)?;
            let place = match identifier(kind)? {
                COMMON_NAME => &mut common_name,
                ORGANIZATION => &mut organization,
                _ => return Err(RequestError::Subject),
            };
            if place.replace(value).is_some() {
                return Err(RequestError::Subject);
            }
        }
    }
    let pair = common_name.zip(organization).ok_or(RequestError::Subject)?;
    Ok(Request { common_name: pair.0, organization: pair.1 })
}

/// The bytes of an object identifier.
fn identifier(value: AnyRef<'_>) -> Result<&[u8], RequestError> {
    if value.tag() == Tag::ObjectIdentifier { Ok(value.value()) } else { Err(RequestError::Der) }
}

/// A string of one of the common types (RFC 5280, section 4.1.2.4).
fn text(value: AnyRef<'_>) -> Option<String> {
    let is_text = matches!(value.tag(), Tag::Utf8String | Tag::PrintableString);
    let text = std::str::from_utf8(value.value()).ok().filter(|_| is_text)?;
    Some(text.to_owned())
}

/// Whether a public key (RFC 5280, section 4.1.2.7) is of an allowed type.
fn check_key(key: AnyRef<'_>) -> Result<(), RequestError> {
    let [algorithm, bits] = parts(key)?;
    // Newer kinds have no parameters.
    let all = values(algorithm.value(), 2)?;
    let &[kind, parameters] = all.as_slice() else { return Err(RequestError::Key) };
    if bits.tag() != Tag::BitString {
        return Err(RequestError::Der);
    }
    let is_fine = match identifier(kind)? {
        EC => matches!(identifier(parameters)?, P256 | P384),
        RSA => RSA_BITS.contains(&rsa_bits(bits.value().strip_prefix(&[0]))?),
        _ => false,
    };
    if is_fine { Ok(()) } else { Err(RequestError::Key) }
}

/// Bits of the modulus of an RSA key (RFC 8017, appendix A.1.1).
fn rsa_bits(key: Option<&[u8]>) -> Result<usize, RequestError> {
    let [modulus, _] = parts(whole(key.ok_or(RequestError::Key)?)?)?;
    let modulus = modulus.decode_as::<UintRef<'_>>()?;
    let unused = modulus.as_bytes().first().map_or(0, |byte| byte.leading_zeros());
    Ok(modulus.as_bytes().len() * 8 - usize::try_from(unused).unwrap_or(0))
}
