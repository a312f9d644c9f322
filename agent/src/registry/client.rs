//! One POST per connection, with one deadline over all of it.

use super::{
    RegistryUrl,
    tls::{TlsError, Trust},
};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use metal_api::inventory::Registration;
use std::{fmt, io, path::Path, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

/// As much of an answer as is read, and shown when it is a refusal.
const ANSWER: usize = 4096;
const SHOWN: usize = 200;

/// Posts reports.
#[derive(Debug)]
pub struct Client {
    url: RegistryUrl,
    trust: Option<Trust>,
    deadline: Duration,
}

/// A report did not arrive. None of the texts names the path, which may hold a token.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// The deadline passed.
    #[error("registry did not answer within {}", .0.as_secs_f32())]
    Deadline(Duration),
    /// No connection.
    #[error("registry cannot be reached")]
    Connect(#[source] io::Error),
    /// No TLS session.
    #[error("registry is not trusted")]
    Tls(#[source] io::Error),
    /// The connection broke.
    #[error("registry broke off the request")]
    Http(#[from] hyper::Error),
    /// The request could not be built.
    #[error("report cannot be sent")]
    Request(#[from] http::Error),
    /// The report could not be written as JSON.
    #[error("report cannot be written")]
    Json(#[from] serde_json::Error),
    /// The registry said no.
    #[error("registry answered {0}{1}")]
    Refused(StatusCode, Reason),
}

impl Client {
    /// A client for this registry. `authorities` is a PEM file with the certificate authorities
    /// that an `https` registry is verified by.
    pub fn new(url: RegistryUrl, authorities: &Path, deadline: Duration) -> Result<Self, TlsError> {
        let trust = url.is_tls().then(|| Trust::load(authorities)).transpose()?;
        Ok(Self { url, trust, deadline })
    }

    /// Posts one report. The registry keeps it once this returns `Ok`. Cancel safe in so far as a
    /// repeated report is harmless.
    pub async fn register(&self, registration: &Registration) -> Result<(), PostError> {
        let body = serde_json::to_vec(registration)?.into();
        timeout(self.deadline, self.post("register", body))
            .await
            .unwrap_or(Err(PostError::Deadline(self.deadline)))
    }

    async fn post(&self, endpoint: &str, body: Bytes) -> Result<(), PostError> {
        let stream = TcpStream::connect(self.url.address()).await.map_err(PostError::Connect)?;
        match &self.trust {
            None => self.send(stream, endpoint, body).await,
            Some(trust) => {
                let session = trust.connect(self.url.address().0, stream).await;
                self.send(session.map_err(PostError::Tls)?, endpoint, body).await
            }
        }
    }

    async fn send<S>(&self, stream: S, endpoint: &str, body: Bytes) -> Result<(), PostError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::post(self.url.endpoint(endpoint))
            .header(header::HOST, self.url.authority())
            .header(header::USER_AGENT, concat!("metalprobe/", env!("CARGO_PKG_VERSION")))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close")
            .body(Full::new(body))?;
        // The connection moves only while it is polled; it ends before or with the exchange.
        let exchange = exchange(&mut sender, request);
        tokio::pin!(exchange, connection);
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            ended = &mut connection => {
                ended?;
                exchange.await
            }
        }
    }
}

async fn exchange(
    sender: &mut http1::SendRequest<Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<(), PostError> {
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let body = Limited::new(answer.into_body(), ANSWER).collect().await;
    let body = body.map(Collected::to_bytes).unwrap_or_default();
    Err(PostError::Refused(status, Reason::of(&body)))
}

/// What the registry gave as its reason: the beginning of its answer, on one line.
#[derive(Debug, Default)]
pub struct Reason(String);

impl Reason {
    fn of(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Self(text.chars().filter(|letter| !letter.is_control()).take(SHOWN).collect())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.0) }
    }
}

#[cfg(test)]
mod tests;
