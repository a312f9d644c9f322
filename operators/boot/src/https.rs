//! The listener for machines that boot by HTTPS.

use crate::{
    args::Args,
    tls::{self, Certificate},
};
use anyhow::Context as _;
use std::{convert::Infallible, future::pending, sync::Arc};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A listener with its certificate.
pub(crate) struct Https {
    pub(crate) listener: TcpListener,
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) certificate: Arc<Certificate>,
}

impl Https {
    /// Listens, if there is a certificate.
    pub(crate) async fn open(args: &Args) -> anyhow::Result<Option<Self>> {
        let files = (&args.https_certificate_file, &args.https_key_file);
        let (Some(certificate), Some(key)) = files else { return Ok(None) };
        let address = &args.https_server_address;
        let listener = address.listen().await;
        let listener = listener.with_context(|| format!("--https-server-address={address}"))?;
        let Some(listener) = listener else { return Ok(None) };
        let certificate = Arc::new(Certificate::open(certificate, key).await?);
        let acceptor = TlsAcceptor::from(Arc::new(tls::config(Arc::clone(&certificate))?));
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, flag = "--https-server-address", "listening");
        }
        Ok(Some(Self { listener, acceptor, certificate }))
    }
}

/// Keeps the certificate up to date for ever.
pub(crate) async fn follow(certificate: Option<Arc<Certificate>>) -> Infallible {
    match certificate {
        Some(certificate) => certificate.follow().await,
        None => pending().await,
    }
}
