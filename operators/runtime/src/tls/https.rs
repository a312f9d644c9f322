use super::{Certificate, CertificateError, config};
use crate::args::BindAddress;
use std::{convert::Infallible, future::pending, io, path::Path, sync::Arc};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A listener with its certificate.
pub struct Https {
    /// Where it listens.
    pub listener: TcpListener,
    /// How connections are accepted.
    pub acceptor: TlsAcceptor,
    /// The certificate, to be kept up to date with [`follow`].
    pub certificate: Arc<Certificate>,
}

/// Why there is no HTTPS.
#[derive(Debug, thiserror::Error)]
pub enum HttpsError {
    /// The address cannot be bound.
    #[error("--https-server-address={address}")]
    Bind {
        /// The value of the flag.
        address: BindAddress,
        /// The reason.
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// There is no TLS.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

impl Https {
    /// Listens at the address of `--https-server-address`, if there is a certificate.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound, or the files cannot be used.
    pub async fn open(
        address: &BindAddress,
        certificate: Option<&Path>,
        key: Option<&Path>,
    ) -> Result<Option<Self>, HttpsError> {
        let (Some(certificate), Some(key)) = (certificate, key) else { return Ok(None) };
        let listener = address.listen().await;
        let listener =
            listener.map_err(|source| HttpsError::Bind { address: address.clone(), source })?;
        let Some(listener) = listener else { return Ok(None) };
        let certificate = Arc::new(Certificate::open(certificate, key).await?);
        let acceptor = TlsAcceptor::from(Arc::new(config(Arc::clone(&certificate))?));
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, flag = "--https-server-address", "listening");
        }
        Ok(Some(Self { listener, acceptor, certificate }))
    }
}

/// Keeps the certificate up to date for ever.
pub async fn follow(certificate: Option<Arc<Certificate>>) -> Infallible {
    match certificate {
        Some(certificate) => certificate.follow().await,
        None => pending().await,
    }
}
