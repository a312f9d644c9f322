//! The configuration, in the format of Azure/unbounded's agent. Only the fields that are needed to make a node
//! are read; the others are left to the program that starts the kubelet.

use base64::{Engine, engine::general_purpose::STANDARD};
use metal_base::authorities::{self, OnUnusable};
use metal_http::ServerUrl;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use serde::Deserialize;
use std::{fs::File, io::Read, path::Path};

/// The longest file that is read, in bytes: it holds a few certificates.
const LONGEST: u64 = 1 << 20;
/// The longest name of an object of Kubernetes (RFC 1123, section 2.1).
const NAME_LEN: usize = 253;

/// The configuration of this machine.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the Machine, and of its node.
    pub(crate) machine: String,
    /// Certificates of the cluster's authorities, as PEM.
    pub(crate) authorities: String,
    /// The same, for verifying the API server.
    pub(crate) roots: RootCertStore,
    /// The API server, over TLS.
    pub(crate) api: ServerUrl,
    /// metalman, over plain HTTP.
    pub(crate) metalman: ServerUrl,
}

/// Why the configuration cannot be used. No value is quoted.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file does not exist, or cannot be read.
    #[error("{0} cannot be read")]
    File(String, #[source] std::io::Error),
    /// It is too long.
    #[error("it has more than {LONGEST} bytes")]
    TooLong,
    /// It is not JSON of the expected form.
    #[error("it is not the JSON of an agent: line {0}, column {1}")]
    Json(usize, usize),
    /// A field is absent or empty.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field is invalid.
    #[error("{0} {1}")]
    Invalid(&'static str, &'static str),
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Document {
    machine_name: String,
    cluster: Cluster,
    kubelet: Kubelet,
    attest: Attest,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Cluster {
    ca_cert_base64: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Kubelet {
    api_server: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Attest {
    #[serde(rename = "URL")]
    url: String,
}

impl Config {
    /// Reads it from a file.
    ///
    /// # Errors
    ///
    /// It is not there, or cannot be used.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let mut text = vec![];
        let file = File::open(path).and_then(|it| it.take(LONGEST + 1).read_to_end(&mut text));
        file.map_err(|error| ConfigError::File(path.display().to_string(), error))?;
        Self::parse(&text)
    }

    /// Parses it. Unknown fields are ignored.
    ///
    /// # Errors
    ///
    /// It cannot be used; what is missing or wrong is named.
    pub fn parse(text: &[u8]) -> Result<Self, ConfigError> {
        if text.len() as u64 > LONGEST {
            return Err(ConfigError::TooLong);
        }
        let parsed: Document = serde_json::from_slice(text)
            .map_err(|error| ConfigError::Json(error.line(), error.column()))?;
        let machine = present("MachineName", parsed.machine_name)?;
        if !is_name(&machine) {
            let wrong = "has to be a name of lower-case letters, digits, dashes and dots";
            return Err(ConfigError::Invalid("MachineName", wrong));
        }
        let api = url("Kubelet.ApiServer", parsed.kubelet.api_server)?;
        if !api.is_tls() {
            return Err(ConfigError::Invalid("Kubelet.ApiServer", "has to begin with https://"));
        }
        let metalman = url("Attest.URL", parsed.attest.url)?;
        if metalman.is_tls() {
            let wrong = "has to begin with http://, which is what metalman speaks";
            return Err(ConfigError::Invalid("Attest.URL", wrong));
        }
        let (authorities, roots) = roots(parsed.cluster.ca_cert_base64)?;
        Ok(Self { machine, authorities, roots, api, metalman })
    }
}

fn present(field: &'static str, text: String) -> Result<String, ConfigError> {
    if text.trim().is_empty() { Err(ConfigError::Missing(field)) } else { Ok(text) }
}

fn url(field: &'static str, text: String) -> Result<ServerUrl, ConfigError> {
    let wrong = "has to be a URL with scheme and host, without user, query or fragment";
    present(field, text)?.parse().map_err(|_| ConfigError::Invalid(field, wrong))
}

/// Certificates in PEM, in base64.
fn roots(text: String) -> Result<(String, RootCertStore), ConfigError> {
    const FIELD: &str = "Cluster.CaCertBase64";
    let invalid = || ConfigError::Invalid(FIELD, "has to be base64 of certificates in PEM");
    let pem = STANDARD.decode(present(FIELD, text)?.trim()).map_err(|_| invalid())?;
    let pem = String::from_utf8(pem).map_err(|_| invalid())?;
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes());
    let added = authorities::add(&mut roots, certificates, OnUnusable::Refuse);
    match added {
        Ok(1..) => Ok((pem, roots)),
        Ok(0) | Err(_) => Err(invalid()),
    }
}

/// Whether it is a name that an object may have.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_inner = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit();
        let ends = [label.bytes().next(), label.bytes().last()];
        ends.iter().all(|end| end.is_some_and(is_inner))
            && label.bytes().all(|octet| is_inner(octet) || octet == b'-')
    };
    text.len() <= NAME_LEN && text.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Authority;
    use serde_json::{Value, json};

    fn whole() -> Value {
        let authorities = STANDARD.encode(Authority::new().pem());
        json!({
            "MachineName": "node-01.rack-2",
            "Cluster": {"CaCertBase64": authorities, "ClusterDNS": "10.96.0.10", "Version": "v1.36.0"},
            "Kubelet": {"ApiServer": "https://api.example:6443", "Auth": {}, "Labels": {}, "RegisterWithTaints": null},
            "CRI": {"Containerd": {}, "Runc": {}}, "CNI": {},
            "Attest": {"URL": "http://192.0.2.1:8880/c/secret"},
            "Later": [1, 2],
        })
    }

    fn parse(value: &Value) -> Result<Config, ConfigError> {
        Config::parse(value.to_string().as_bytes())
    }

    #[test]
    fn what_the_peer_writes_is_read_and_fields_that_are_unknown_are_ignored() {
        let config = parse(&whole()).unwrap();
        assert_eq!(config.machine, "node-01.rack-2");
        assert_eq!(config.api.to_string(), "https://api.example:6443");
        assert_eq!(config.metalman.below(&"/attest".parse().unwrap()), "/c/secret/attest");
        assert_eq!(config.roots.len(), 1);
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn a_field_that_is_missing_is_named() {
        for (pointer, field) in [
            ("/MachineName", "MachineName"),
            ("/Cluster/CaCertBase64", "Cluster.CaCertBase64"),
            ("/Kubelet/ApiServer", "Kubelet.ApiServer"),
            ("/Attest/URL", "Attest.URL"),
        ] {
            let mut value = whole();
            *value.pointer_mut(pointer).unwrap() = json!("");
            assert_eq!(parse(&value).unwrap_err().to_string(), format!("{field} is missing"));
        }
        let missing = Config::parse(b"{}").unwrap_err();
        assert_eq!(missing.to_string(), "MachineName is missing");
    }

    #[test]
    fn a_value_that_is_wrong_is_not_quoted_and_its_field_is_named() {
        for (pointer, secret) in [
            ("/MachineName", "secret/../x"),
            ("/MachineName", "Secret"),
            ("/MachineName", "-secret"),
            ("/Cluster/CaCertBase64", "secret"),
            ("/Cluster/CaCertBase64", "c2VjcmV0"),
            ("/Kubelet/ApiServer", "http://secret"),
            ("/Kubelet/ApiServer", "https://user:secret@h"),
            ("/Attest/URL", "secret"),
            ("/Attest/URL", "https://secret"),
        ] {
            let mut value = whole();
            *value.pointer_mut(pointer).unwrap() = json!(secret);
            let error = parse(&value).unwrap_err().to_string();
            let field = pointer.trim_start_matches('/').replace('/', ".");
            assert!(error.starts_with(&field) && !error.contains("ecret"), "{error}");
        }
        let error = Config::parse(b"{\n\"MachineName\": secret}").unwrap_err().to_string();
        assert_eq!(error, "it is not the JSON of an agent: line 2, column 16");
        let long = vec![b' '; usize::try_from(LONGEST).unwrap() + 1];
        assert!(matches!(Config::parse(&long), Err(ConfigError::TooLong)));
        let missing = Config::read(Path::new("/nowhere/agent.json")).unwrap_err();
        assert_eq!(missing.to_string(), "/nowhere/agent.json cannot be read");
    }
}
