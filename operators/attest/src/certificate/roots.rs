//! Authorities that are trusted to say what is in a TPM.

use rustls_pki_types::{CertificateDer, TrustAnchor, pem, pem::PemObject};
use std::fmt;
use webpki::anchor_from_trusted_cert;

/// Maximum number of roots: all manufacturers of TPMs together have some 200.
const MAX_ROOTS: usize = 1024;

/// Why roots cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The text is not PEM.
    #[error("not PEM")]
    Pem(#[source] pem::Error),
    /// It contains no certificate.
    #[error("no CERTIFICATE in PEM; convert one in DER by `openssl x509 -inform der`")]
    Empty,
    /// One of its entries is not a certificate.
    #[error("certificate {0} cannot be read")]
    Certificate(usize, #[source] webpki::Error),
    /// It contains too many.
    #[error("more than {MAX_ROOTS} certificates")]
    TooMany,
}

/// Certificates that are trusted, each for itself: also one that another has signed.
#[derive(Clone, Default)]
pub struct Roots(Vec<TrustAnchor<'static>>);

impl Roots {
    /// Adds the certificates of a PEM file.
    ///
    /// # Errors
    ///
    /// If there is none, or one of them cannot be used; then none is added.
    pub fn add(&mut self, pem: &[u8]) -> Result<(), RootsError> {
        let mut anchors = vec![];
        for certificate in CertificateDer::pem_slice_iter(pem) {
            if self.0.len() + anchors.len() == MAX_ROOTS {
                return Err(RootsError::TooMany);
            }
            let certificate = certificate.map_err(RootsError::Pem)?;
            let at = anchors.len() + 1;
            let anchor = anchor_from_trusted_cert(&certificate);
            anchors.push(anchor.map_err(|error| RootsError::Certificate(at, error))?.to_owned());
        }
        if anchors.is_empty() {
            return Err(RootsError::Empty);
        }
        self.0.append(&mut anchors);
        Ok(())
    }

    pub(super) fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.0
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Roots").field(&self.0.len()).finish()
    }
}
