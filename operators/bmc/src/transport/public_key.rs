//! Extracts the public key of a certificate, ignoring everything else in it.
//!
//! For a pinned certificate, all that counts is that the peer has its key; nothing that it says
//! need be true. BMCs come with certificates that a strict parser refuses: X.509 version 1, serial
//! numbers that are too long, unknown critical extensions.

use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid, crypto::WebPkiSupportedAlgorithms,
    pki_types::CertificateDer,
};

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
/// Tag of the version number, which version 1 omits.
const VERSION: u8 = 0xa0;

/// The signature of a handshake.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signature<'a> {
    /// What is signed.
    pub(crate) message: &'a [u8],
    /// How it is signed.
    pub(crate) signed: &'a DigitallySignedStruct,
    /// The TLS version of the handshake.
    pub(crate) version: Version,
}

/// Verifies that a signature is made with the key of a certificate.
pub(crate) fn verify(
    Signature { message, signed, version }: Signature<'_>,
    certificate: &CertificateDer<'_>,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let (algorithm, key) =
        key(certificate).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
    let of_scheme = algorithms.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme);
    let candidates = match of_scheme {
        Some((_, all)) if version == Version::Tls12 => all,
        // In TLS 1.3 the scheme fixes the curve (RFC 8446, section 4.2.3), which is that of the
        // first algorithm.
        Some((scheme, all)) if is_of_tls13(*scheme) => &all[..all.len().min(1)],
        Some(_) | None => &[],
    };
    let mut fits = candidates.iter().filter(|it| it.public_key_alg_id().as_ref() == algorithm);
    if fits.any(|it| it.verify_signature(key, message, signed.signature()).is_ok()) {
        Ok(HandshakeSignatureValid::assertion())
    } else {
        Err(CertificateError::BadSignature.into())
    }
}

/// The TLS version of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Tls12,
    Tls13,
}

fn is_of_tls13(scheme: SignatureScheme) -> bool {
    matches!(
        scheme,
        SignatureScheme::ECDSA_NISTP256_SHA256
            | SignatureScheme::ECDSA_NISTP384_SHA384
            | SignatureScheme::ECDSA_NISTP521_SHA512
            | SignatureScheme::RSA_PSS_SHA256
            | SignatureScheme::RSA_PSS_SHA384
            | SignatureScheme::RSA_PSS_SHA512
            | SignatureScheme::ED25519
            | SignatureScheme::ED448
    )
}

/// Algorithm and public key of a certificate (RFC 5280, section 4.1).
fn key(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    if let Some((_, after)) = element(rest, VERSION) {
        rest = after;
    }
    // Serial number; algorithm, issuer, validity and subject.
    for tag in [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE] {
        rest = element(rest, tag)?.1;
    }
    let (info, _) = element(rest, SEQUENCE)?;
    let (algorithm, rest) = element(info, SEQUENCE)?;
    let (bits, _) = element(rest, BIT_STRING)?;
    let (unused, key) = bits.split_first()?;
    (*unused == 0).then_some((algorithm, key))
}

/// The content of the first DER value, which must have this tag, and what follows the value.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.strip_prefix(&[tag])?.split_first()?;
    let (length, rest) = match usize::from(first & 0x7f) {
        short if first & 0x80 == 0 => (short, rest),
        bytes @ 1..=3 => {
            let (length, rest) = rest.split_at_checked(bytes)?;
            (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_has_no_key() {
        for garbage in [&b""[..], b"\x30", b"\x30\x80", b"\x30\x84\xff\xff\xff\xff", &[0x30; 64]] {
            assert_eq!(key(garbage), None, "{garbage:?}");
        }
    }
}
