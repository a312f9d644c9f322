//! Reading certificate authorities from PEM.

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem},
};

/// What to do with a certificate that cannot be a trust anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnusable {
    /// Ignore it: the bundles of whole systems contain some.
    Skip,
    /// Report it: a file of a few certificates is meant in full.
    Refuse,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    /// The text is not PEM.
    #[error("not PEM")]
    Pem(#[source] pem::Error),
    /// A certificate is invalid, or not of an authority.
    #[error("a certificate is not a CA certificate")]
    Certificate(#[source] rustls::Error),
}

/// Adds the certificates of a PEM file as [`rustls`] reads it, and returns how many there were.
///
/// # Errors
///
/// If a certificate cannot be read, or is unusable and not to be skipped.
pub fn add<'a>(
    roots: &mut RootCertStore,
    certificates: impl IntoIterator<Item = Result<CertificateDer<'a>, pem::Error>>,
    unusable: OnUnusable,
) -> Result<usize, AuthoritiesError> {
    let mut count = 0;
    for certificate in certificates {
        match roots.add(certificate.map_err(AuthoritiesError::Pem)?) {
            Ok(()) => count += 1,
            Err(_) if unusable == OnUnusable::Skip => {}
            Err(error) => return Err(AuthoritiesError::Certificate(error)),
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
    use rustls::pki_types::pem::PemObject as _;

    fn authority() -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().into()
    }

    fn added(
        certificates: Vec<Result<CertificateDer<'static>, pem::Error>>,
        unusable: OnUnusable,
    ) -> Result<usize, AuthoritiesError> {
        let mut roots = RootCertStore::empty();
        let added = add(&mut roots, certificates, unusable);
        assert!(added.as_ref().map_or(true, |count| *count == roots.len()));
        added
    }

    #[test]
    fn what_no_verifier_takes_is_skipped_or_refused() {
        let broken = CertificateDer::from(vec![1, 2, 3]);
        let both = || vec![Ok(broken.clone()), Ok(authority())];
        assert!(matches!(added(both(), OnUnusable::Skip), Ok(1)));
        let refused = added(both(), OnUnusable::Refuse);
        assert!(matches!(refused, Err(AuthoritiesError::Certificate(_))));
    }

    #[test]
    fn broken_pem_is_an_error_and_nothing_is_none() {
        let pem = b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        let read = CertificateDer::pem_slice_iter(pem).collect();
        assert!(matches!(added(read, OnUnusable::Skip), Err(AuthoritiesError::Pem(_))));
        assert!(matches!(added(vec![], OnUnusable::Refuse), Ok(0)));
    }
}
