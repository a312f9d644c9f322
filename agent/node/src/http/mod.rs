//! Requests to metalman and the API server.

use bytes::Bytes;
use http::{Request, Response};
use metal_http::{Client, RequestError, ServerUrl, Trust};
use rustls::CertificateError;
use std::time::Duration;

/// Time limit for a request: metalman itself gives up after 20 s.
const DEADLINE: Duration = Duration::from_secs(30);
/// The longest answer that is read, in bytes.
const LONGEST: usize = 256 << 10;
const AGENT: &str = concat!("metal-agent/", env!("CARGO_PKG_VERSION"));

/// Why there is no answer. No message holds a path, a header or a body.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// There was none, or it is of no use.
    #[error("no answer from {0}{1}")]
    Unanswered(ServerUrl, &'static str, #[source] RequestError),
    /// The request could not be built.
    #[error("could not build the request")]
    Request(#[from] http::Error),
}

/// A server.
#[derive(Clone, Debug)]
pub(crate) struct Server(Client);

impl Server {
    /// The one at this URL; `trust` is for TLS.
    pub(crate) fn new(url: ServerUrl, trust: Option<Trust>) -> Self {
        Self(Client::new(url, trust, AGENT, DEADLINE))
    }

    /// Sends a request for a path below the URL, and returns the response with whatever status. Cancel safe in
    /// that the server may have received it.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let named = |error| HttpError::Unanswered(self.0.url().clone(), hint(&error), error);
        self.0.exchange(request, LONGEST).await.map_err(named)
    }
}

/// What a person might do if no TLS session can be established.
fn hint(error: &RequestError) -> &'static str {
    let Some(error) = error.certificate() else { return "" };
    match error {
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => ": is the clock of this machine right?",
        // Authorities of two clusters often have the same name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            ": its certificate is of no authority in Cluster.CaCertBase64"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests;
