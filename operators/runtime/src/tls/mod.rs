//! TLS for machines that boot by HTTPS: for modern clients, and for firmware. [`HttpsArgs`]
//! are the flags of every binary with it.
//!
//! OVMF as built by Debian supports only TLS 1.2 with DHE or static RSA, without elliptic curves.
//! So in addition to rustls's cipher suites, there are two with DHE, which need an RSA key. Clients
//! that support better ones get those.

mod certificate;
mod dhe;
mod expiry;
mod group;
mod https;

pub use certificate::{Certificate, CertificateError};
pub use expiry::expiry;
pub use https::{Https, HttpsArgs, HttpsError, follow};

use rustls::{ServerConfig, crypto::CryptoProvider, crypto::ring};
use std::sync::Arc;

/// The server configuration for this certificate, and its successors.
///
/// # Errors
///
/// Never: ring supports all versions of TLS.
pub fn config(certificate: Arc<Certificate>) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Our order counts: firmware that supports both should not choose the weaker one.
    config.ignore_client_order = true;
    Ok(config)
}

fn provider() -> CryptoProvider {
    let mut provider = ring::default_provider();
    provider.cipher_suites.extend(dhe::suites());
    provider.kx_groups.push(&group::Ffdhe2048);
    provider
}

#[cfg(test)]
mod tests;
