//! One request per connection, under a single deadline.

use super::{
    RegistryUrl,
    tls::{TlsError, Trust},
};
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use metal_api::inventory::Registration;
use std::{error::Error, fmt, io, path::Path, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

/// How much of a response is read, and shown if it is an error.
const ANSWER: usize = 4096;
const SHOWN: usize = 200;

/// Posts reports to a registry, or fetches a URL.
#[derive(Debug)]
pub struct Client {
    url: RegistryUrl,
    trust: Option<Trust>,
    deadline: Duration,
}

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
    /// The connection broke.
    #[error("the server closed the connection during the request")]
    Http(#[from] hyper::Error),
    /// The request could not be built.
    #[error("could not build the request")]
    Request(#[from] http::Error),
    /// The report could not be written as JSON.
    #[error("could not serialize the report")]
    Json(#[from] serde_json::Error),
    /// The response is too long, or broke off.
    #[error("invalid response from the server")]
    Answer(#[source] Box<dyn Error + Send + Sync>),
    /// The server answered with an error status.
    #[error("the server responded with status {0}{1}")]
    Refused(StatusCode, Reason),
}

impl Client {
    /// A client for this registry. `authorities` is a PEM file of the authorities that an `https`
    /// registry is verified against.
    pub fn new(url: RegistryUrl, authorities: &Path, deadline: Duration) -> Result<Self, TlsError> {
        let trust = url.is_tls().then(|| Trust::load(authorities)).transpose()?;
        Ok(Self { url, trust, deadline })
    }

    /// Posts a report. The registry has stored it once this returns `Ok`. Cancel safe in that
    /// repeating a report is harmless.
    pub async fn register(&self, registration: &Registration) -> Result<(), RequestError> {
        let body = serde_json::to_vec(registration)?.into();
        timeout(self.deadline, self.post("register", body))
            .await
            .unwrap_or(Err(RequestError::Deadline(self.deadline)))
    }

    /// Fetches the URL itself, up to `longest` bytes. Cancel safe.
    pub async fn get(&self, longest: usize) -> Result<Bytes, RequestError> {
        let request = Request::get(self.url.path()).body(Full::default());
        timeout(self.deadline, self.ask(request?, Some(longest)))
            .await
            .unwrap_or(Err(RequestError::Deadline(self.deadline)))
    }

    async fn post(&self, endpoint: &str, body: Bytes) -> Result<(), RequestError> {
        let request = Request::post(self.url.endpoint(endpoint))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body));
        self.ask(request?, None).await.map(drop)
    }

    async fn ask(
        &self,
        request: Request<Full<Bytes>>,
        longest: Option<usize>,
    ) -> Result<Bytes, RequestError> {
        let stream = TcpStream::connect(self.url.address()).await.map_err(RequestError::Connect)?;
        match &self.trust {
            None => self.send(stream, request, longest).await,
            Some(trust) => {
                let session = trust.connect(self.url.address().0, stream).await;
                self.send(session.map_err(RequestError::Tls)?, request, longest).await
            }
        }
    }

    async fn send<S>(
        &self,
        stream: S,
        mut request: Request<Full<Bytes>>,
        longest: Option<usize>,
    ) -> Result<Bytes, RequestError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let agent = concat!("metalprobe/", env!("CARGO_PKG_VERSION"));
        let host = HeaderValue::try_from(self.url.authority()).map_err(http::Error::from)?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, host);
        headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        // The connection makes progress only while it is polled; it ends before or with the
        // exchange.
        let exchange = exchange(&mut sender, request, longest);
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
    longest: Option<usize>,
) -> Result<Bytes, RequestError> {
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let read = async |limit| {
        Limited::new(answer.into_body(), limit).collect().await.map(Collected::to_bytes)
    };
    match (status.is_success(), longest) {
        (true, None) => Ok(Bytes::new()),
        (true, Some(longest)) => read(longest).await.map_err(RequestError::Answer),
        (false, _) => {
            let reason = Reason::of(&read(ANSWER).await.unwrap_or_default());
            Err(RequestError::Refused(status, reason))
        }
    }
}

/// The server's reason: the beginning of its response, on one line.
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

/// Shows the URL without its path.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

#[cfg(test)]
mod tests;
