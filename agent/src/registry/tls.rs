//! Trust in an `https` registry: only the authorities of a file.

use metal_base::authorities::{self, AuthoritiesError, Unusable};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem, pem::PemObject},
};
use std::{io, path::Path, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Why the authorities cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file is missing, or is not PEM.
    #[error(
        "could not read certificate authorities from {0}; set --registry-ca-file to a PEM file"
    )]
    Authorities(String, #[source] pem::Error),
    /// The file has no usable certificate.
    #[error(
        "{0} contains no certificates; set --registry-ca-file to a PEM file with certificate \
         authorities"
    )]
    Empty(String),
    /// The TLS library refused its configuration.
    #[error("could not set up TLS")]
    Setup(#[from] rustls::Error),
}

/// The authorities that are trusted.
#[derive(Clone, Debug)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Those of a PEM file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or has none.
    pub fn load(file: &Path) -> Result<Self, TlsError> {
        let name = || file.display().to_string();
        let unreadable = |error| TlsError::Authorities(name(), error);
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_file_iter(file).map_err(unreadable)?;
        let added = authorities::add(&mut roots, certificates, Unusable::Skip);
        let added = added.map_err(|error| match error {
            AuthoritiesError::Pem(error) => unreadable(error),
            AuthoritiesError::Certificate(error) => error.into(),
        })?;
        if added == 0 {
            return Err(TlsError::Empty(name()));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(config)))
    }

    /// Starts a TLS session with `host`, a name or an address.
    pub async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await
    }
}
