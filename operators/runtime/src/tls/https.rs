//! The flags of an HTTPS server, and the listener that they describe.

use super::{Certificate, CertificateError, config};
use crate::{
    args::{BindAddress, BindError},
    listener::Port,
};
use clap::Args;
use std::{convert::Infallible, future::pending, path::PathBuf, sync::Arc};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Flags of an HTTPS server; flatten this into the arguments of a binary.
#[expect(clippy::struct_field_names, reason = "named as the flags are")]
#[derive(Args, Clone, Debug)]
pub struct HttpsArgs {
    /// Listen address of the HTTPS server, which serves the same paths as the HTTP server; requires
    /// --https-certificate-file
    #[arg(long, default_value = ":8444", value_name = "ADDRESS")]
    pub https_server_address: BindAddress,
    /// PEM file with the certificate chain of the HTTPS server; reloaded when it changes. iPXE and
    /// UEFI firmware support only RSA keys
    #[arg(long, requires = "https_key_file", value_name = "FILE")]
    pub https_certificate_file: Option<PathBuf>,
    /// PEM file with the private key for --https-certificate-file
    #[arg(long, requires = "https_certificate_file", value_name = "FILE")]
    pub https_key_file: Option<PathBuf>,
}

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
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// There is no TLS.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

impl HttpsArgs {
    /// Listens, if there is a certificate and an address.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound, or the files cannot be used.
    pub async fn open(&self) -> Result<Option<Https>, HttpsError> {
        let files = (&self.https_certificate_file, &self.https_key_file);
        let (Some(certificate), Some(key)) = files else { return Ok(None) };
        let listener = self.https_server_address.listen_by("--https-server-address").await?;
        let Some(listener) = listener else { return Ok(None) };
        let certificate = Arc::new(Certificate::open(certificate, key).await?);
        let acceptor = TlsAcceptor::from(Arc::new(config(Arc::clone(&certificate))?));
        Ok(Some(Https { listener, acceptor, certificate }))
    }
}

impl From<Https> for Port {
    fn from(Https { listener, acceptor, .. }: Https) -> Self {
        (listener, acceptor).into()
    }
}

/// Keeps the certificate up to date forever.
pub async fn follow(certificate: Option<Arc<Certificate>>) -> Infallible {
    match certificate {
        Some(certificate) => certificate.follow().await,
        None => pending().await,
    }
}
