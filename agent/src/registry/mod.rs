//! The registry that reports are posted to.

use bytes::Bytes;
use http::{Request, header};
use metal_api::inventory::Registration;
use metal_http::{RequestError, ServerUrl, Trust, TrustError};
use std::{fmt, path::Path, time::Duration};

const AGENT: &str = concat!("metalprobe/", env!("CARGO_PKG_VERSION"));

/// Posts reports to a registry, or fetches a URL.
#[derive(Debug)]
pub struct Client(metal_http::Client);

/// Why a report was not posted. No message contains the path, which may hold a token.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The registry did not take it.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The report could not be written as JSON.
    #[error("could not serialize the report")]
    Json(#[from] serde_json::Error),
}

impl Client {
    /// A client for this registry. `authorities` is a PEM file of the authorities that an `https`
    /// registry is verified against.
    ///
    /// # Errors
    ///
    /// If it is `https`, and the file has none.
    pub fn new(url: ServerUrl, authorities: &Path, deadline: Duration) -> Result<Self, TrustError> {
        let trust = url.is_tls().then(|| Trust::load(authorities)).transpose()?;
        Ok(Self(metal_http::Client::new(url, trust, AGENT, deadline)))
    }

    /// Posts a report. The registry has stored it once this returns `Ok`. Cancel safe in that
    /// repeating a report is harmless.
    ///
    /// # Errors
    ///
    /// If the registry did not store it, or not in time.
    pub async fn register(&self, registration: &Registration) -> Result<(), RegistryError> {
        let body = serde_json::to_vec(registration)?.into();
        let request = Request::post("/register")
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(RequestError::from)?;
        self.0.open(request).await?;
        Ok(())
    }

    /// Fetches the URL itself, up to `longest` bytes. Cancel safe.
    ///
    /// # Errors
    ///
    /// If it does not come in time, or is longer.
    pub async fn get(&self, longest: usize) -> Result<Bytes, RequestError> {
        self.0.fetch(Request::get("/").body(Bytes::new())?, longest).await
    }
}

/// Shows the URL without its path.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests;
