//! One request per connection.

use crate::timeouts::Timeouts;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use metalprobe::registry::{RegistryUrl, TlsError, Trust};
use std::{error::Error, fmt, io, path::Path, str::FromStr, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::AbortHandle,
    time::timeout,
};

/// How much of an error is read.
const REASON: usize = 1024;
/// The most bytes of headers.
const HEADERS: usize = 16 << 10;

/// The URL of an installation, as the kernel's command line has it. Its path has a token, so it is never
/// shown whole.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Base(RegistryUrl);

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

/// Why a request failed. No message has the path, which holds a token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Nobody answers in time.
    #[error("the server does not answer within {} s", .0.as_secs())]
    Late(Duration),
    /// No connection.
    #[error("the server cannot be reached")]
    Connect(#[source] io::Error),
    /// No TLS session.
    #[error("the server is not trusted")]
    Tls(#[source] io::Error),
    /// The connection broke, or the answer is not HTTP.
    #[error("the server closed the connection")]
    Http(#[from] hyper::Error),
    /// The request cannot be made.
    #[error("the request cannot be made")]
    Request(#[from] http::Error),
    /// The answer is too long, or broke off.
    #[error("the answer cannot be used")]
    Answer(#[source] Box<dyn Error + Send + Sync>),
    /// The server refuses.
    #[error("the server answers {0}{1}")]
    Refused(StatusCode, String),
}

impl Failure {
    /// The server says that this installation is not the one that is due.
    pub(crate) fn is_stale(&self) -> bool {
        matches!(self, Self::Refused(StatusCode::FORBIDDEN, _))
    }
}

/// Asks one server.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    base: Base,
    trust: Option<Trust>,
    /// How long everything is waited for.
    pub(crate) timeouts: Timeouts,
}

/// An answer whose content is still to come, and its connection, which ends with it.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Status, headers, and content.
    pub(crate) response: Response<Incoming>,
    _connection: Connection,
}

#[derive(Debug)]
struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
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
    ) -> Result<Self, TlsError> {
        let trust = base.0.is_tls().then(|| Trust::load(authorities)).transpose()?;
        Ok(Self { base, trust, timeouts })
    }

    /// Fetches a small file. Cancel safe.
    ///
    /// # Errors
    ///
    /// If it does not come, or is longer than `longest` bytes.
    pub(crate) async fn get(&self, path: &str, longest: usize) -> Result<Bytes, Failure> {
        let whole = async {
            let answer = self.open(path, HeaderMap::new()).await?;
            let content = Limited::new(answer.response.into_body(), longest).collect().await;
            content.map(Collected::to_bytes).map_err(Failure::Answer)
        };
        let deadline = self.timeouts.answer;
        timeout(deadline, whole).await.unwrap_or(Err(Failure::Late(deadline)))
    }

    /// Posts something, and forgets the answer. Cancel safe.
    ///
    /// # Errors
    ///
    /// If it was not taken.
    pub(crate) async fn post(&self, path: &str, body: Bytes) -> Result<(), Failure> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.ask(Method::POST, path, headers, body).await.map(drop)
    }

    /// Asks for a file. The answer is a success; what it has comes as it is read.
    ///
    /// # Errors
    ///
    /// If the server does not answer in time, or refuses.
    pub(crate) async fn open(&self, path: &str, headers: HeaderMap) -> Result<Answer, Failure> {
        self.ask(Method::GET, path, headers, Bytes::new()).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, Failure> {
        let deadline = self.timeouts.answer;
        let answer = timeout(deadline, self.exchange(method, path, headers, body)).await;
        let answer = answer.unwrap_or(Err(Failure::Late(deadline)))?;
        let status = answer.response.status();
        if status.is_success() {
            return Ok(answer);
        }
        let read = Limited::new(answer.response.into_body(), REASON).collect();
        let reason = timeout(deadline, read).await.ok().and_then(Result::ok);
        let reason = reason.map(Collected::to_bytes).unwrap_or_default();
        Err(Failure::Refused(status, one_line(&reason)))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Answer, Failure> {
        let url = &self.base.0;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = url.endpoint(path).parse().map_err(http::Error::from)?;
        *request.headers_mut() = headers;
        let host = HeaderValue::try_from(url.authority()).map_err(http::Error::from)?;
        request.headers_mut().insert(header::HOST, host);
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        let stream = TcpStream::connect(url.address()).await.map_err(Failure::Connect)?;
        match &self.trust {
            None => send(stream, request).await,
            Some(trust) => {
                let session = trust.connect(url.address().0, stream).await.map_err(Failure::Tls)?;
                send(session, request).await
            }
        }
    }
}

async fn send<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, Failure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let handshake = http1::Builder::new().max_buf_size(HEADERS).handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await?;
    let connection = Connection(tokio::spawn(connection).abort_handle());
    let response = sender.send_request(request).await?;
    Ok(Answer { response, _connection: connection })
}

/// The server's reason, for a person.
fn one_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
    if text.is_empty() { text } else { format!(": {text}") }
}
