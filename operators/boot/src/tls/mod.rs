//! TLS for machines that boot by HTTPS: what any client takes, and what firmware takes.
//!
//! OVMF, as Debian builds it, offers TLS 1.2 with DHE and static RSA alone: no elliptic curves at
//! all. So beside the suites of rustls there are two with DHE, which need a key of RSA. Everybody
//! who can do better gets better.

mod certificate;
mod dhe;
mod group;

pub(crate) use certificate::Certificate;

use rustls::{ServerConfig, crypto::CryptoProvider, crypto::ring};
use std::sync::Arc;

/// The configuration of a server that shows this certificate, and its successors.
///
/// # Errors
///
/// None: ring can do all versions of TLS.
pub(crate) fn config(certificate: Arc<Certificate>) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Our order: firmware that can do both should not take the weaker one.
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
