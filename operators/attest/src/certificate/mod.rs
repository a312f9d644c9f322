//! Certificates of endorsement keys (TCG EK Credential Profile 2.5, section 3), in which the manufacturer of a
//! TPM confirms that the key is in one.

mod roots;
#[cfg(test)]
mod tests;

pub use roots::{Roots, RootsError};

use crate::endorsement::EndorsementKey;
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use std::time::Duration;
use webpki::{EndEntityCert, Error, KeyUsage, ring};

/// Maximum number of certificates in a request: that of the key, and those between it and a root.
pub const MAX_CERTIFICATES: usize = 8;

/// tcg-kp-EKCertificate, 2.23.133.8.1.
const EK_CERTIFICATE: &[u8] = &[0x67, 0x81, 0x05, 0x08, 0x01];

/// The signatures that are accepted: ECDSA on P-256 and P-384, and RSA of 2,048 bits and more.
const SIGNATURES: &[&dyn SignatureVerificationAlgorithm] = &[
    ring::ECDSA_P256_SHA256,
    ring::ECDSA_P256_SHA384,
    ring::ECDSA_P384_SHA256,
    ring::ECDSA_P384_SHA384,
    ring::RSA_PKCS1_2048_8192_SHA256,
    ring::RSA_PKCS1_2048_8192_SHA384,
    ring::RSA_PKCS1_2048_8192_SHA512,
    ring::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    ring::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    ring::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
];

/// Why a certificate does not prove that a key is in a TPM.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CertificateError {
    /// There is no certificate.
    #[error("the machine presented no certificate of its endorsement key")]
    Missing,
    /// It cannot be parsed.
    #[error(
        "it is not a certificate of X.509, version 3, or has a critical extension that is unknown"
    )]
    Malformed,
    /// It belongs to another key.
    #[error("it is of another key than the endorsement key that was presented")]
    OtherKey,
    /// No root vouches for it.
    #[error("none of the roots has signed it, nor a certificate between them that was presented")]
    NotTrusted,
    /// It is not valid yet, or has expired.
    #[error("it, or a certificate between it and its root, is not valid at this time")]
    OutOfDate,
    /// It is for another purpose.
    #[error("its extended key usage is not tcg-kp-EKCertificate, 2.23.133.8.1")]
    OtherUsage,
    /// An issuer is not allowed to sign certificates.
    #[error("it is of an authority, or a certificate between it and its root may not sign it")]
    OtherRole,
}

impl Roots {
    /// Verifies that the first of `certificates`, each in DER, is that of the key, and chains to one of
    /// these roots by the others (RFC 5280, section 6.1), of which at most six are one below the other. `now` is the time
    /// since 1970. Revocation is not looked at.
    ///
    /// # Errors
    ///
    /// Why it proves nothing.
    pub fn verify(
        &self,
        ek: &EndorsementKey,
        certificates: &[Vec<u8>],
        now: Duration,
    ) -> Result<(), CertificateError> {
        let mut all = certificates.iter().map(|der| CertificateDer::from(&**der));
        let own = all.next().ok_or(CertificateError::Missing)?;
        let between: Vec<_> = all.collect();
        let own = EndEntityCert::try_from(&own).map_err(|_| CertificateError::Malformed)?;
        if !ek.is_spki(&own.subject_public_key_info()) {
            return Err(CertificateError::OtherKey);
        }
        let (anchors, now) = (self.anchors(), UnixTime::since_unix_epoch(now));
        let usage = KeyUsage::required_if_present(EK_CERTIFICATE);
        let path = own.verify_for_usage(SIGNATURES, anchors, &between, now, usage, None, None);
        path.map(drop).map_err(|error| reason(&error))
    }
}

fn reason(error: &Error) -> CertificateError {
    match error {
        Error::CertExpired { .. } | Error::CertNotValidYet { .. } => CertificateError::OutOfDate,
        Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => {
            CertificateError::OtherUsage
        }
        Error::CaUsedAsEndEntity
        | Error::EndEntityUsedAsCa
        | Error::PathLenConstraintViolated
        | Error::NameConstraintViolation => CertificateError::OtherRole,
        Error::BadDer
        | Error::BadDerTime
        | Error::ExtensionValueInvalid
        | Error::InvalidCertValidity
        | Error::MalformedExtensions
        | Error::TrailingData(_)
        | Error::UnsupportedCriticalExtension
        | Error::UnsupportedCertVersion => CertificateError::Malformed,
        _ => CertificateError::NotTrusted,
    }
}
