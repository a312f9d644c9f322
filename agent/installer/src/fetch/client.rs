//! The client of the server of this installation.

use crate::timeouts::Timeouts;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use metal_http::{Answer, RequestError, ServerUrl, Trust, TrustError};
use std::{fmt, path::Path, str::FromStr};

const AGENT: &str = concat!("metal-installer/", env!("CARGO_PKG_VERSION"));

/// The URL of an installation, as the kernel's command line has it. Its path has a token, so it is never
/// shown whole.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Base(ServerUrl);

/// Why the command line names no installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "bloomery.install on the kernel's command line must be http://host:port/path or https://host:port/path, with no user, query or fragment"
)]
pub(crate) struct BaseError;

impl FromStr for Base {
    type Err = BaseError;

    fn from_str(text: &str) -> Result<Self, BaseError> {
        text.parse().map(Self).map_err(|_| BaseError)
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The server says that this installation is not the one that is due.
pub(crate) fn is_stale(error: &RequestError) -> bool {
    matches!(error, RequestError::Refused(StatusCode::FORBIDDEN, _))
}

/// The server says that there is no such installation, which may pass.
pub(crate) fn is_unknown(error: &RequestError) -> bool {
    matches!(error, RequestError::Refused(StatusCode::NOT_FOUND | StatusCode::GONE, _))
}

/// Asks one server.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: metal_http::Client,
    /// Time limits for responses, and pauses between tries.
    pub(crate) timeouts: Timeouts,
}

impl Client {
    /// A client for this installation. `authorities` is a PEM file of those that an `https` server is
    /// verified by.
    ///
    /// # Errors
    ///
    /// If the server is `https`, and there are none.
    pub(crate) fn new(
        base: Base,
        authorities: &Path,
        timeouts: Timeouts,
    ) -> Result<Self, TrustError> {
        let trust = base.0.is_tls().then(|| Trust::load(authorities)).transpose()?;
        let http = metal_http::Client::new(base.0, trust, AGENT, timeouts.answer);
        Ok(Self { http, timeouts })
    }

    /// Fetches a small file. Cancel safe.
    ///
    /// # Errors
    ///
    /// If it does not come, or is longer than `longest` bytes.
    pub(crate) async fn get(&self, path: &str, longest: usize) -> Result<Bytes, RequestError> {
        self.http.fetch(Request::get(below(path)).body(Bytes::new())?, longest).await
    }

    /// Posts something, and forgets the answer. Cancel safe.
    ///
    /// # Errors
    ///
    /// If it was not taken.
    pub(crate) async fn post(&self, path: &str, body: Bytes) -> Result<(), RequestError> {
        let request = Request::post(below(path)).header(header::CONTENT_TYPE, "application/json");
        self.http.open(request.body(body)?).await.map(drop)
    }

    /// Asks for a file. The answer is a success; what it has comes as it is read.
    ///
    /// # Errors
    ///
    /// If the server does not answer in time, or refuses.
    pub(crate) async fn open(
        &self,
        path: &str,
        headers: HeaderMap,
    ) -> Result<Answer, RequestError> {
        let mut request = Request::get(below(path)).body(Bytes::new())?;
        *request.headers_mut() = headers;
        self.http.open(request).await
    }
}

fn below(path: &str) -> String {
    format!("/{path}")
}
