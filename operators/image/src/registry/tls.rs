//! The only TLS configuration: rustls with ring, trusting the system's authorities and those of a
//! flag.

use metal_base::authorities::{self, AuthoritiesError, OnUnusable};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::sync::Arc;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not PEM, or not certificates.
    #[error("--registry-ca-path: not PEM")]
    Pem(#[source] rustls::pki_types::pem::Error),
    /// PEM, but not a usable certificate.
    #[error("--registry-ca-path: invalid certificate")]
    Certificate(#[source] rustls::Error),
    /// Does not happen with ring.
    #[error("could not set up TLS")]
    Rustls(#[from] rustls::Error),
    /// Does not happen.
    #[error("could not set up the HTTP client")]
    Client(#[from] reqwest::Error),
}

pub(super) fn config(bundle: &[u8]) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "could not load the system's certificate authorities");
    }
    roots.add_parsable_certificates(system.certs);
    let certificates = CertificateDer::pem_slice_iter(bundle);
    authorities::add(&mut roots, certificates, OnUnusable::Refuse).map_err(
        |error| match error {
            AuthoritiesError::Pem(error) => TlsError::Pem(error),
            AuthoritiesError::Certificate(error) => TlsError::Certificate(error),
        },
    )?;
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
