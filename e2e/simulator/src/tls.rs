//! TLS of BMCs: an authority that is created at start, and a certificate for every address.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use metal_base::Locked;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(20);

/// Why there is no TLS connection.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate could not be created.
    #[error("certificate")]
    Certificate(#[from] rcgen::Error),
    /// The certificate cannot be used.
    #[error("TLS configuration")]
    Config(#[from] rustls::Error),
    /// The client went away, or does not trust us.
    #[error("handshake")]
    Handshake(#[from] std::io::Error),
    /// The client took too long.
    #[error("handshake takes too long")]
    Slow(#[from] tokio::time::error::Elapsed),
}

/// Signs certificates for BMCs, and caches them.
#[derive(Debug)]
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    configs: Mutex<HashMap<IpAddr, Arc<ServerConfig>>>,
}

impl Authority {
    /// Creates an authority, which nobody trusts yet.
    pub(super) fn new() -> Result<Self, TlsError> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self { issuer, configs: Mutex::default() })
    }

    /// Its certificate.
    pub(super) fn pem(&self) -> String {
        let text = BASE64_STANDARD.encode(self.issuer.der());
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    }

    /// Performs the handshake of the BMC at this address.
    pub(super) async fn accept(
        &self,
        address: IpAddr,
        stream: TcpStream,
    ) -> Result<TlsStream<TcpStream>, TlsError> {
        let acceptor = TlsAcceptor::from(self.config(address)?);
        Ok(timeout(HANDSHAKE, acceptor.accept(stream)).await??)
    }

    fn config(&self, address: IpAddr) -> Result<Arc<ServerConfig>, TlsError> {
        let mut configs = self.configs.locked();
        if let Some(config) = configs.get(&address) {
            return Ok(Arc::clone(config));
        }
        let key = KeyPair::generate()?;
        let params = CertificateParams::new(vec![address.to_string()])?;
        let certificate = params.signed_by(&key, &self.issuer)?.der().clone();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )?;
        let config = Arc::new(config);
        configs.insert(address, Arc::clone(&config));
        Ok(config)
    }
}
