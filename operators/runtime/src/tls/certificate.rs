//! The certificate of the HTTPS listener, which is read again when its files change.

use crate::file::{self, Reread};
use metal_base::RwLocked;
use rustls::{
    SignatureAlgorithm,
    crypto::ring::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{
    convert::Infallible,
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
};

/// The flag for the certificate chain.
const CERTIFICATE: &str = "--https-certificate-file";
/// The flag for the key.
const KEY: &str = "--https-key-file";

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] file::Error),
    /// A file is not PEM.
    #[error("{flag} {}: not valid PEM", path.display())]
    Pem {
        /// The flag.
        flag: &'static str,
        /// Its value.
        path: PathBuf,
        /// The reason. It quotes nothing.
        source: pem::Error,
    },
    /// A file contains no certificate.
    #[error("--https-certificate-file {}: contains no certificate", .0.display())]
    Empty(PathBuf),
    /// The key cannot be used.
    #[error("--https-key-file {}: must contain an RSA key of at least 2048 bits", .0.display())]
    Key(PathBuf, #[source] rustls::Error),
    /// Certificate and key do not belong together.
    #[error("the key in --https-key-file does not match --https-certificate-file")]
    Mismatch(#[source] rustls::Error),
}

/// The two files and their content.
pub struct Certificate {
    chain: PathBuf,
    key: PathBuf,
    current: RwLock<Current>,
}

struct Current {
    texts: [Vec<u8>; 2],
    certified: Arc<CertifiedKey>,
}

impl Certificate {
    /// Reads the files for the first time.
    ///
    /// # Errors
    ///
    /// If they cannot be used.
    pub async fn open(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let current = read(certificate, key).await?;
        let (chain, key) = (certificate.to_owned(), key.to_owned());
        Ok(Self { chain, key, current: RwLock::new(current) })
    }

    /// The chain and the key that are in use.
    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.current.read_locked().certified)
    }

    /// Reads the files again whenever they change, forever. Files that cannot be used change
    /// nothing, and are reported once.
    pub async fn follow(&self) -> Infallible {
        file::reread(CERTIFICATE, self, |_| {}).await
    }
}

impl Reread for &Certificate {
    type Error = CertificateError;

    async fn read_again(&mut self) -> Result<bool, CertificateError> {
        let new = read(&self.chain, &self.key).await?;
        let mut current = self.current.write_locked();
        let is_other = new.texts != current.texts;
        if is_other {
            *current = new;
        }
        Ok(is_other)
    }
}

#[cfg(test)]
impl Certificate {
    /// The certificate itself, which comes first in the chain.
    pub(super) fn first(&self) -> CertificateDer<'static> {
        self.certified().end_entity_cert().cloned().unwrap().into_owned()
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.certified())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("chain", &self.chain)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

async fn read(certificate: &Path, key: &Path) -> Result<Current, CertificateError> {
    let texts = [file::read(CERTIFICATE, certificate).await?, file::read(KEY, key).await?];
    let pem = |flag, path: &Path| {
        let path = path.to_owned();
        move |source| CertificateError::Pem { flag, path, source }
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&texts[0]).collect();
    let chain = chain.map_err(pem(CERTIFICATE, certificate))?;
    if chain.is_empty() {
        return Err(CertificateError::Empty(certificate.to_owned()));
    }
    let der = PrivateKeyDer::from_pem_slice(&texts[1]).map_err(pem(KEY, key))?;
    let unusable = |error| CertificateError::Key(key.to_owned(), error);
    let signer = any_supported_type(&der).map_err(unusable)?;
    if signer.algorithm() != SignatureAlgorithm::RSA {
        return Err(unusable(rustls::Error::General(
            "UEFI firmware supports no other key type".to_owned(),
        )));
    }
    let certified = CertifiedKey::new(chain, signer);
    certified.keys_match().map_err(CertificateError::Mismatch)?;
    Ok(Current { texts, certified: Arc::new(certified) })
}
