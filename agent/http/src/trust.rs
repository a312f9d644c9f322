//! TLS: which servers are trusted, and the certificate that is shown to them.

use metal_base::authorities::{self, AuthoritiesError, OnUnusable};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem, pem::PemObject},
};
use std::{fmt, io, path::Path, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Why the authorities cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file is missing, or is not PEM.
    #[error("could not read certificate authorities from {0}")]
    Unreadable(String, #[source] pem::Error),
    /// The file has no usable certificate.
    #[error("{0} contains no certificate authorities")]
    Empty(String),
    /// The TLS library refused its configuration.
    #[error("could not set up TLS")]
    Setup(#[from] rustls::Error),
}

/// A certificate, with those that lead to its authority, and its key.
#[derive(Debug)]
pub struct Identity {
    /// The certificate of the client first.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its private key.
    pub key: PrivateKeyDer<'static>,
}

/// The authorities that are trusted, and the certificate that is shown.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Trusts these authorities and nobody else; shows the certificate of `identity`, if there is one.
    ///
    /// # Errors
    ///
    /// If key and certificate do not belong together.
    pub fn of(roots: RootCertStore, identity: Option<Identity>) -> Result<Self, TrustError> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match identity {
            None => config.with_no_client_auth(),
            Some(it) => config.with_client_auth_cert(it.chain, it.key)?,
        };
        Ok(Self(Arc::new(config)))
    }

    /// Trusts the authorities of a PEM file. Certificates in it that no verifier takes are ignored.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or has none.
    pub fn load(file: &Path) -> Result<Self, TrustError> {
        let name = || file.display().to_string();
        let unreadable = |error| TrustError::Unreadable(name(), error);
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_file_iter(file).map_err(unreadable)?;
        let added = authorities::add(&mut roots, certificates, OnUnusable::Skip);
        let added = added.map_err(|error| match error {
            AuthoritiesError::Pem(error) => unreadable(error),
            AuthoritiesError::Certificate(error) => error.into(),
        })?;
        if added == 0 {
            return Err(TrustError::Empty(name()));
        }
        Self::of(roots, None)
    }

    /// Starts a TLS session with `host`, a name or an address.
    pub(crate) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_base::Chain;

    #[test]
    fn authorities_that_cannot_be_read_are_named_and_no_flag_is() {
        let missing = Trust::load(Path::new("/nowhere/ca.pem")).unwrap_err();
        assert!(matches!(missing, TrustError::Unreadable(..)), "{missing}");
        let empty = tempfile::NamedTempFile::new().unwrap();
        let none = Trust::load(empty.path()).unwrap_err();
        assert!(matches!(none, TrustError::Empty(_)), "{none}");
        for (error, file) in [(missing, Path::new("/nowhere/ca.pem")), (none, empty.path())] {
            let text = Chain(&error).to_string();
            assert!(text.contains(file.to_str().unwrap()) && !text.contains("--"), "{text}");
        }
    }
}
