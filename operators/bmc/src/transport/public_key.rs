//! Extracts the public key of a certificate, ignoring everything else in it.
//!
//! For a pinned certificate, all that counts is that the peer has its key; nothing that it says
//! need be true. BMCs come with certificates that a strict parser refuses: X.509 version 1, serial
//! numbers that are too long, unknown critical extensions.

use metal_base::der::{SEQUENCE, after_issuer, element};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid, crypto::WebPkiSupportedAlgorithms,
    pki_types::CertificateDer,
};

/// Tag of a BIT STRING in DER (X.690).
const BIT_STRING: u8 = 0x03;

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
    let (_validity, rest) = element(after_issuer(certificate)?, SEQUENCE)?;
    let (_subject, rest) = element(rest, SEQUENCE)?;
    let (info, _) = element(rest, SEQUENCE)?;
    let (algorithm, rest) = element(info, SEQUENCE)?;
    let (bits, _) = element(rest, BIT_STRING)?;
    let (unused, key) = bits.split_first()?;
    (*unused == 0).then_some((algorithm, key))
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
