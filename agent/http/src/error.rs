//! Why a request failed.

use crate::Reason;
use http::StatusCode;
use std::{error::Error, io, time::Duration};

/// Why a request failed. No message contains the path, which may hold a token.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The deadline passed.
    #[error("the server did not respond within {} s", .0.as_secs_f32())]
    Deadline(Duration),
    /// No connection.
    #[error("the server is unreachable")]
    Connect(#[source] io::Error),
    /// No TLS session.
    #[error("the TLS certificate of the server is not trusted")]
    Tls(#[source] io::Error),
    /// The connection broke, or the response is not HTTP.
    #[error("the server closed the connection during the request")]
    Http(#[from] hyper::Error),
    /// The request could not be built.
    #[error("could not build the request")]
    Request(#[from] http::Error),
    /// The response is too long, or broke off.
    #[error("invalid response from the server")]
    Answer(#[source] Box<dyn Error + Send + Sync>),
    /// The server answered with an error status.
    #[error("the server responded with status {0}{1}")]
    Refused(StatusCode, Reason),
}

impl RequestError {
    /// What is wrong with the certificate of the server, if that is why.
    pub fn certificate(&self) -> Option<&rustls::CertificateError> {
        let Self::Tls(error) = self else { return None };
        match error.get_ref()?.downcast_ref::<rustls::Error>()? {
            rustls::Error::InvalidCertificate(error) => Some(error),
            _ => None,
        }
    }
}
