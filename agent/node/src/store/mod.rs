//! The files of the kubelet: its kubeconfig, and beside it one with certificate and key. Kubelets read that
//! again when it changes, so a renewal needs no restart.
//!
//! Each file is there as a whole or not at all, and nobody but its owner may read it. The certificate is
//! written first: whatever is cut off between the two is made up for when the agent starts again.

use crate::{
    certificate::{Facts, Validity},
    config::Config,
    key::{Key, common_name},
};
use metal_base::files;
use metal_http::Identity;
use rustls::{
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use serde_json::json;
use std::{
    io,
    path::{Path, PathBuf},
};

/// The longest file that is read, in bytes.
const LONGEST: u64 = 128 << 10;

/// The paths of the files.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    kubeconfig: PathBuf,
    certificate: PathBuf,
}

/// What is there.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) validity: Validity,
    pub(crate) identity: Identity,
}

/// Why files cannot be written, or the signed certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("{0} cannot be written")]
    Write(PathBuf, #[source] io::Error),
    #[error("{0}")]
    Unusable(&'static str),
}

impl Store {
    /// The kubeconfig at this path, made absolute, and the certificate beside it.
    pub(crate) fn new(kubeconfig: &Path) -> io::Result<Self> {
        let kubeconfig = std::path::absolute(kubeconfig)?;
        let mut certificate = kubeconfig.clone().into_os_string();
        certificate.push(".pem");
        Ok(Self { kubeconfig, certificate: certificate.into() })
    }

    /// The certificate of this node, if there is one with its key. Anything else is treated as missing.
    pub(crate) fn load(&self, node: &str) -> Option<Current> {
        let text = content(&self.certificate)?;
        read(&text, node)
            .inspect_err(|why| tracing::debug!(%why, "the certificate is not used"))
            .ok()
    }

    /// Stores what was signed for this key, if it is the certificate of this node.
    pub(crate) fn save(&self, node: &str, signed: &str, key: &Key) -> Result<Current, StoreError> {
        let separator = if signed.ends_with('\n') { "" } else { "\n" };
        let text = format!("{signed}{separator}{}", key.to_pem());
        let current = read(&text, node)?;
        write(&self.certificate, &text)?;
        Ok(current)
    }

    /// Writes the kubeconfig, unless it is up to date.
    pub(crate) fn ensure_kubeconfig(&self, config: &Config) -> Result<(), StoreError> {
        let text = self.kubeconfig_of(config);
        if content(&self.kubeconfig).as_deref() == Some(&text) {
            return Ok(());
        }
        write(&self.kubeconfig, &text)
    }

    /// A kubeconfig, as JSON, so that no value has to be quoted by hand.
    fn kubeconfig_of(&self, config: &Config) -> String {
        let authorities = base64(&config.authorities);
        // Several clusters may be served at one host, each below a path.
        let server = format!("{}{}", config.api, config.api.path().trim_end_matches('/'));
        let document = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "cluster", "cluster": {
                "server": server,
                "certificate-authority-data": authorities,
            }}],
            "users": [{ "name": "node", "user": {
                "client-certificate": self.certificate,
                "client-key": self.certificate,
            }}],
            "contexts": [{ "name": "node", "context": { "cluster": "cluster", "user": "node" }}],
            "current-context": "node",
        });
        format!("{document:#}\n")
    }
}

fn base64(text: &str) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(text)
}

/// A short file of text, if it is there.
fn content(path: &Path) -> Option<String> {
    String::from_utf8(files::read(path, LONGEST).ok()??).ok()
}

/// A certificate of this node, and its key.
fn read(text: &str, node: &str) -> Result<Current, StoreError> {
    let unusable = StoreError::Unusable;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let chain = chain.map_err(|_| unusable("what was signed is no certificate in PEM"))?;
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes());
    let key = key.map_err(|_| unusable("there is no key with the certificate"))?;
    let first = chain.first().ok_or(unusable("what was signed is no certificate in PEM"))?;
    let facts = Facts::read(first).map_err(|_| unusable("what was signed is no certificate"))?;
    if facts.common_name != common_name(node) {
        return Err(unusable("the certificate is of another node"));
    }
    let pair = CertifiedKey::from_der(chain.clone(), key.clone_key(), &ring::default_provider());
    pair.map_err(|_| unusable("the certificate is not for the key that was made for it"))?;
    Ok(Current { validity: facts.validity, identity: Identity { chain, key } })
}

/// Writes a file, in a folder that is made if it is not there.
fn write(path: &Path, text: &str) -> Result<(), StoreError> {
    let written = path
        .parent()
        .map_or(Ok(()), files::folder)
        .and_then(|()| files::write(path, text.as_bytes()));
    written.map_err(|error| StoreError::Write(path.to_owned(), error))
}

#[cfg(test)]
mod tests;
