//! HTTP, by which metalman and the API server are asked: one request per connection, under one deadline.

mod tls;

pub(crate) use tls::{Identity, Trust};

use crate::url::Url;
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::{error::Error, fmt, io, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

/// How long one request may take: metalman gives up after 20 s itself.
const DEADLINE: Duration = Duration::from_secs(30);
/// The longest answer that is read, in bytes.
const LONGEST: usize = 256 << 10;
/// How much of a refusal is shown.
const SHOWN: usize = 200;

/// Why there is no answer. No message holds a path, a header or a body.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// The deadline passed.
    #[error("{0} did not answer within {limit} s", limit = DEADLINE.as_secs())]
    Deadline(Url),
    /// No connection.
    #[error("{0} cannot be reached")]
    Connect(Url, #[source] io::Error),
    /// No TLS session.
    #[error("{0} is not trusted{1}")]
    Tls(Url, &'static str, #[source] io::Error),
    /// The connection broke.
    #[error("{0} closed the connection during the request")]
    Broken(Url, #[source] hyper::Error),
    /// The request could not be built.
    #[error("could not build the request")]
    Request(#[from] http::Error),
    /// The answer is too long, or broke off.
    #[error("could not read the response of {0}")]
    Answer(Url, #[source] Box<dyn Error + Send + Sync>),
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// A server.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    url: Url,
    trust: Option<Trust>,
}

impl Server {
    /// One that is asked without TLS, unless there is somebody to trust.
    pub(crate) fn new(url: Url, trust: Option<Trust>) -> Self {
        Self { url, trust }
    }

    /// Sends a request for a path below the URL. Cancel safe in that the server may have received it.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Result<Answer, HttpError> {
        let late = |_| Err(HttpError::Deadline(self.url.clone()));
        timeout(DEADLINE, self.ask(request)).await.unwrap_or_else(late)
    }

    async fn ask(&self, request: Request<Bytes>) -> Result<Answer, HttpError> {
        let request = self.complete(request)?;
        let connected = TcpStream::connect(self.url.address()).await;
        let stream = connected.map_err(|error| HttpError::Connect(self.url.clone(), error))?;
        match &self.trust {
            None => self.exchange(stream, request).await,
            Some(trust) => {
                let session = trust.connect(self.url.address().0, stream).await;
                let session = session
                    .map_err(|error| HttpError::Tls(self.url.clone(), tls::hint(&error), error))?;
                self.exchange(session, request).await
            }
        }
    }

    fn complete(&self, request: Request<Bytes>) -> Result<Request<Full<Bytes>>, HttpError> {
        let (mut parts, body) = request.into_parts();
        let path = self.url.below(parts.uri.path());
        parts.uri = path.parse().map_err(http::Error::from)?;
        let host = HeaderValue::try_from(self.url.authority()).map_err(http::Error::from)?;
        let agent = concat!("metal-agent/", env!("CARGO_PKG_VERSION"));
        parts.headers.insert(header::HOST, host);
        parts.headers.insert(header::USER_AGENT, HeaderValue::from_static(agent));
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        Ok(Request::from_parts(parts, Full::new(body)))
    }

    async fn exchange<S>(
        &self,
        stream: S,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, HttpError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let broken = |error| HttpError::Broken(self.url.clone(), error);
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let exchange = async {
            let answer = sender.send_request(request).await.map_err(broken)?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), LONGEST).collect().await;
            let body = body.map(Collected::to_bytes);
            let body = body.map_err(|error| HttpError::Answer(self.url.clone(), error))?;
            Ok(Answer { status, body })
        };
        // The connection makes progress only while it is polled; it ends before or with the exchange.
        tokio::pin!(exchange, connection);
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            ended = &mut connection => {
                ended.map_err(broken)?;
                exchange.await
            }
        }
    }
}

/// What a server says of a refusal: the beginning of it, on one line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reason(String);

impl Reason {
    pub(crate) fn of(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text.get(..4 * SHOWN).unwrap_or(text));
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
