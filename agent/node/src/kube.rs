//! Requests to the API server to sign the certificate of this node. Two requests need no client library.

use crate::{
    http::{HttpError, Server},
    key::Key,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use metal_base::jitter::jittered;
use metal_http::Reason;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// CertificateSigningRequests, and the signer of client certificates of kubelets.
const PATH: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// The usages that a kubelet requests; metalman approves no others.
const USAGES: [&str; 2] = ["digital signature", "client auth"];
/// The time between two polls of a request. It is approved within moments, unless something is wrong.
const LOOK: Duration = Duration::from_secs(2);
/// How long to wait for a certificate: less than the ten minutes for which a token is valid.
const PATIENCE: Duration = Duration::from_mins(8);
/// The longest certificate, with its chain, in bytes.
const LONGEST: usize = 64 << 10;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KubeError {
    /// The API server does not answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It does not accept our credentials: the token or the certificate has expired, or belongs to another
    /// cluster.
    #[error("the API server does not accept this machine's credential")]
    Unauthorized,
    /// It refused.
    #[error("the API server answered {0}{1}")]
    Refused(StatusCode, Reason),
    /// Its response is invalid.
    #[error("the API server's answer is not a certificate request")]
    Answer,
    /// A person or a controller has denied it, or it could not be signed.
    #[error("the certificate request {0} is {1}{2}")]
    Settled(String, &'static str, Reason),
    /// Nobody has approved or signed it yet.
    #[error(
        "the certificate request {0} was not approved and signed within {limit} min: is metalman there, and does kube-controller-manager sign?",
        limit = PATIENCE.as_secs() / 60
    )]
    Late(String),
    /// The request could not be built.
    #[error("the certificate request cannot be made")]
    Request(#[from] rcgen::Error),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct New {
    api_version: &'static str,
    kind: &'static str,
    metadata: Metadata,
    spec: Spec,
}

#[derive(Serialize)]
struct Metadata {
    name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    signer_name: &'static str,
    usages: [&'static str; 2],
    request: String,
}

/// The fields of a request that we need.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Seen {
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    certificate: Option<String>,
    conditions: Vec<Condition>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    type_: String,
    message: String,
}

/// An API server, and our credentials for it: a token, or the certificate of the TLS session.
#[derive(Debug)]
pub(crate) struct Api {
    server: Server,
    authorization: Option<HeaderValue>,
}

impl Api {
    /// Authenticates with a token.
    pub(crate) fn with_token(server: Server, token: &str) -> Result<Self, KubeError> {
        let mut value =
            HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| KubeError::Answer)?;
        value.set_sensitive(true);
        Ok(Self { server, authorization: Some(value) })
    }

    /// Authenticates with the certificate of the session.
    pub(crate) fn with_certificate(server: Server) -> Self {
        Self { server, authorization: None }
    }

    /// The certificate of `node` for this key, in PEM; waits until it is signed. Only one request is created for
    /// each key.
    pub(crate) async fn certificate(&self, node: &str, key: &Key) -> Result<String, KubeError> {
        let name = key.request_name();
        self.create(&name, key.request(node)?).await?;
        let late = |_| Err(KubeError::Late(name.clone()));
        timeout(PATIENCE, self.signed(&name)).await.unwrap_or_else(late)
    }

    /// Asks for the version, which anybody may know but who shows a credential that is not taken.
    pub(crate) async fn knows_us(&self) -> Result<(), KubeError> {
        self.ask(Method::GET, "/version", Bytes::new()).await.map(drop)
    }

    async fn create(&self, name: &str, request: String) -> Result<(), KubeError> {
        let new = New {
            api_version: "certificates.k8s.io/v1",
            kind: "CertificateSigningRequest",
            metadata: Metadata { name: name.to_owned() },
            spec: Spec { signer_name: SIGNER, usages: USAGES, request: STANDARD.encode(request) },
        };
        let body = serde_json::to_vec(&new).map_err(|_| KubeError::Answer)?;
        match self.ask(Method::POST, PATH, body.into()).await {
            // It was created before, and the response was lost.
            Ok(_) | Err(KubeError::Refused(StatusCode::CONFLICT, _)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn signed(&self, name: &str) -> Result<String, KubeError> {
        let path = format!("{PATH}/{name}");
        loop {
            match self.ask(Method::GET, &path, Bytes::new()).await {
                Ok(body) => {
                    if let Some(certificate) = read(name, &body)? {
                        return Ok(certificate);
                    }
                }
                // It was created, so this will pass.
                Err(KubeError::Http(error)) => {
                    tracing::debug!(%error, "re-reading the certificate request");
                }
                Err(KubeError::Refused(status, _)) if status.is_server_error() => {}
                Err(error) => return Err(error),
            }
            sleep(jittered(LOOK)).await;
        }
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, KubeError> {
        let json = HeaderValue::from_static("application/json");
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, json.clone())
            .header(header::ACCEPT, json)
            .body(body)
            .map_err(HttpError::from)?;
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
        }
        let answer = self.server.send(request).await?;
        match answer.status() {
            status if status.is_success() => Ok(answer.into_body()),
            StatusCode::UNAUTHORIZED => Err(KubeError::Unauthorized),
            status => Err(KubeError::Refused(status, Reason::of(&message(answer.body())))),
        }
    }
}

/// The message of a `Status` of the API server.
pub(crate) fn message(body: &[u8]) -> Vec<u8> {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    let refusal = serde_json::from_slice::<Refusal>(body);
    refusal.map_or_else(|_| vec![], |it| it.message.into_bytes())
}

/// The certificate of a request, if it is signed.
pub(crate) fn read(name: &str, body: &[u8]) -> Result<Option<String>, KubeError> {
    let seen: Seen = serde_json::from_slice(body).map_err(|_| KubeError::Answer)?;
    for (type_, word) in [("Denied", "denied"), ("Failed", "failed")] {
        if let Some(it) = seen.status.conditions.iter().find(|it| it.type_ == type_) {
            let reason = Reason::of(it.message.as_bytes());
            return Err(KubeError::Settled(name.to_owned(), word, reason));
        }
    }
    let Some(text) = seen.status.certificate.filter(|it| !it.is_empty()) else { return Ok(None) };
    let pem = STANDARD.decode(text).map_err(|_| KubeError::Answer)?;
    let pem = String::from_utf8(pem).ok().filter(|it| it.len() <= LONGEST);
    pem.map(Some).ok_or(KubeError::Answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_waited_for_until_it_is_signed_denied_or_failed() {
        let read = |text: &str| read("csr", text.as_bytes());
        for waiting in ["{}", r#"{"status":{"conditions":[{"type":"Approved"}],"certificate":""}}"#]
        {
            assert_eq!(read(waiting).unwrap(), None);
        }
        let signed = format!(r#"{{"status":{{"certificate":"{}"}}}}"#, STANDARD.encode("PEM"));
        assert_eq!(read(&signed).unwrap().as_deref(), Some("PEM"));
        let denied = r#"{"status":{"conditions":[{"type":"Denied","message":"other\nnode"}]}}"#;
        let error = read(denied).unwrap_err().to_string();
        assert_eq!(error, "the certificate request csr is denied: other node");
        for nonsense in ["", "7", r#"{"status":{"certificate":"?"}}"#, r#"{"status":1}"#] {
            assert!(matches!(read(nonsense), Err(KubeError::Answer)), "{nonsense}");
        }
        let long = STANDARD.encode(vec![b'A'; LONGEST + 1]);
        assert!(read(&format!(r#"{{"status":{{"certificate":"{long}"}}}}"#)).is_err());
    }

    #[test]
    fn a_refusal_is_shown_on_one_short_line() {
        let body = format!(r#"{{"message":"no\u001b[31m\n{}"}}"#, "x".repeat(500));
        let shown = Reason::of(&message(body.as_bytes())).to_string();
        assert!(shown.starts_with(": no[31m x") && shown.len() < 210, "{shown}");
        assert_eq!(Reason::of(&message(b"<html>")).to_string(), "");
    }
}
