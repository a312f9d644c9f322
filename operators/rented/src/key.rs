//! The public key that identifies a host.

use base64::{Engine, engine::general_purpose::STANDARD};

/// Prefix of every public key on P-256 (RFC 5480, section 2): id-ecPublicKey, secp256r1, and a bit string with
/// an uncompressed point.
const HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// Bytes of an uncompressed point.
pub(crate) const POINT: usize = 65;
/// The longest text that is parsed, in bytes.
const LONGEST: usize = 512;

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

/// A public key: ECDSA with P-256. Two that are equal are the same key, however they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; POINT]);

/// The text is not a public key that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a public key of P-256 as PEM; make one with \
     `openssl ecparam -name prime256v1 -genkey -noout | openssl ec -pubout`"
)]
pub struct InvalidKey;

impl PublicKey {
    /// Parses PEM (RFC 7468, section 13). Whether the point is on the curve is found out when a signature is
    /// verified with it.
    ///
    /// # Errors
    ///
    /// If it is anything else, another curve, or a compressed point.
    pub fn parse(pem: &str) -> Result<Self, InvalidKey> {
        let text = Some(pem).filter(|pem| pem.len() <= LONGEST).ok_or(InvalidKey)?.trim();
        let text = text.strip_prefix(BEGIN).and_then(|text| text.strip_suffix(END));
        let base64: String = text.ok_or(InvalidKey)?.split_ascii_whitespace().collect();
        let der = STANDARD.decode(base64).map_err(|_| InvalidKey)?;
        let point = der.strip_prefix(&HEAD).ok_or(InvalidKey)?;
        Self::of_point(point)
    }

    /// The key with this uncompressed point (SEC 1, section 2.3.3). Whether it is on the curve is found out when
    /// a signature is verified with it.
    ///
    /// # Errors
    ///
    /// If it is anything else.
    pub fn of_point(point: &[u8]) -> Result<Self, InvalidKey> {
        let point: [u8; POINT] = point.try_into().map_err(|_| InvalidKey)?;
        if point[0] == 4 { Ok(Self(point)) } else { Err(InvalidKey) }
    }

    /// The uncompressed point (SEC 1, section 2.3.3).
    pub fn point(&self) -> &[u8; POINT] {
        &self.0
    }

    /// The key as PEM, always in the same form.
    pub fn pem(&self) -> String {
        let base64 = STANDARD.encode([&HEAD[..], &self.0].concat());
        let (first, second) = base64.split_at(64);
        format!("{BEGIN}\n{first}\n{second}\n{END}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEKXEuhvy08VJOiT4cRgV2tkvWN2Xx\n\
        zCaz6WSu3QtN8IcZoqGX3S7/YdQMYaDzJqea4F5y2a2f9ahqX3VpAnoB0g==\n\
        -----END PUBLIC KEY-----\n";

    #[test]
    fn a_key_is_the_same_however_it_is_written() {
        let key = PublicKey::parse(KEY).unwrap();
        assert_eq!(key.pem(), KEY);
        assert_eq!(PublicKey::of_point(key.point()), Ok(key.clone()));
        let loose = KEY.replace('\n', "\r\n");
        assert_eq!(PublicKey::parse(&format!("  {loose}\n\n")), Ok(key));
    }

    #[test]
    fn what_is_no_key_of_this_curve_is_refused() {
        let long = format!("{KEY}{}", " ".repeat(512));
        let other = KEY.replace("AwEHA0IABC", "BAAiA0IABC").replace("DAQcDQg", "DAQgDQg");
        let compressed = KEY.replace("DQgAEKX", "DQgACKX");
        let private = KEY.replace("PUBLIC", "PRIVATE");
        for text in ["", BEGIN, &long, &other, &compressed, &private, &KEY[..100]] {
            assert_eq!(PublicKey::parse(text), Err(InvalidKey), "{text}");
        }
        for point in [&[4; POINT - 1][..], &[4; POINT + 1], &[2; POINT]] {
            assert_eq!(PublicKey::of_point(point), Err(InvalidKey));
        }
    }
}
