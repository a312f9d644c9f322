//! The certificate of the HTTPS listener, which is read again when its files change.

use metal_runtime::{jittered, report::Chain};
use rustls::{
    SignatureAlgorithm,
    crypto::ring::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{
    convert::Infallible,
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};
use tokio::{fs, time::sleep};

/// How soon a change is seen. Asking is cheap, and works where a mounted `Secret` changes by the
/// swap of a symbolic link.
const PERIOD: Duration = Duration::from_secs(5);
/// Largest file that is taken.
const LARGEST: u64 = 1 << 20;

/// Why a certificate is not used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file that is not there, or not for us.
    #[error("--{flag} {}: not readable", path.display())]
    Unreadable {
        /// The flag.
        flag: &'static str,
        /// Its value.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that is something else.
    #[error("--{flag} {}: not PEM of what it should have", path.display())]
    Pem {
        /// The flag.
        flag: &'static str,
        /// Its value.
        path: PathBuf,
        /// Why. It quotes nothing.
        source: pem::Error,
    },
    /// A file without a certificate.
    #[error("--https-certificate-file {}: there is no certificate in it", .0.display())]
    Empty(PathBuf),
    /// A key that is of no use.
    #[error("--https-key-file {}: a key of RSA is needed, of 2048 bits or more", .0.display())]
    Key(PathBuf, #[source] rustls::Error),
    /// Two files that have nothing to do with each other.
    #[error("the key of --https-key-file is not that of --https-certificate-file")]
    Mismatch(#[source] rustls::Error),
}

/// Two files, and what they say.
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

    /// Reads the files again whenever they change, for ever. Files that cannot be used change
    /// nothing, and are reported once.
    pub async fn follow(&self) -> Infallible {
        let mut reported = None;
        loop {
            sleep(jittered(PERIOD)).await;
            match self.read_again().await {
                Ok(false) => reported = None,
                Ok(true) => {
                    tracing::info!(path = %self.chain.display(), "certificate read again");
                    reported = None;
                }
                Err(error) => {
                    let error = Chain(&error).to_string();
                    if reported.as_ref() != Some(&error) {
                        tracing::error!(error, "certificate not taken; the old one stays in use");
                        reported = Some(error);
                    }
                }
            }
        }
    }

    /// Whether there was a change.
    pub(super) async fn read_again(&self) -> Result<bool, CertificateError> {
        let new = read(&self.chain, &self.key).await?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let is_other = new.texts != current.texts;
        if is_other {
            *current = new;
        }
        Ok(is_other)
    }
}

#[cfg(test)]
impl Certificate {
    /// The one that clients are shown first.
    pub(super) fn first(&self) -> CertificateDer<'static> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.certified.end_entity_cert().cloned().unwrap().into_owned()
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current.certified))
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
    const CERTIFICATE: &str = "https-certificate-file";
    const KEY: &str = "https-key-file";
    let texts = [text(CERTIFICATE, certificate).await?, text(KEY, key).await?];
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
        return Err(unusable(rustls::Error::General("firmware takes no other".to_owned())));
    }
    let certified = CertifiedKey::new(chain, signer);
    certified.keys_match().map_err(CertificateError::Mismatch)?;
    Ok(Current { texts, certified: Arc::new(certified) })
}

async fn text(flag: &'static str, path: &Path) -> Result<Vec<u8>, CertificateError> {
    let fail = |source| CertificateError::Unreadable { flag, path: path.to_owned(), source };
    if fs::metadata(path).await.map_err(fail)?.len() > LARGEST {
        return Err(fail(io::ErrorKind::FileTooLarge.into()));
    }
    fs::read(path).await.map_err(fail)
}
