//! One request per connection.

mod connect;

use crate::{Reason, RequestError, ServerUrl, Trust};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use std::{fmt, io, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::AbortHandle,
    time::timeout,
};

/// How much of a refusal is read, in bytes.
const REFUSAL: usize = 4096;
/// The longest headers of a response, in bytes.
const HEADERS: usize = 16 << 10;

/// A client of one server. It uses TLS if the URL is `https`.
#[derive(Clone, Debug)]
pub struct Client {
    url: ServerUrl,
    trust: Option<Trust>,
    agent: &'static str,
    deadline: Duration,
}

/// A response whose content has yet to arrive, with its connection, which ends together with it.
#[derive(Debug)]
pub struct Answer {
    /// Status, headers, and content.
    pub response: Response<Incoming>,
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
    /// A client of this server. Without `trust`, requests to an `https` server fail. `agent` is the value of
    /// the `User-Agent` header, and `deadline` how long a response may take.
    pub fn new(
        url: ServerUrl,
        trust: Option<Trust>,
        agent: &'static str,
        deadline: Duration,
    ) -> Self {
        Self { url, trust, agent, deadline }
    }

    /// Where the server is.
    pub fn url(&self) -> &ServerUrl {
        &self.url
    }

    /// Sends a request for a path below the URL, or with `/` for the URL itself. The response is a success;
    /// its head came within the deadline, and its content comes as it is read. Cancel safe in that the server
    /// may have received the request.
    ///
    /// # Errors
    ///
    /// If the server does not respond in time, or refuses.
    pub async fn open(&self, request: Request<Bytes>) -> Result<Answer, RequestError> {
        let answer = self.within(self.send(request)).await?;
        let status = answer.response.status();
        if status.is_success() {
            return Ok(answer);
        }
        let reason = timeout(self.deadline, read(answer.response.into_body(), REFUSAL)).await;
        let reason = reason.ok().and_then(Result::ok).unwrap_or_default();
        Err(RequestError::Refused(status, Reason::of(&reason)))
    }

    /// The same, with up to `longest` bytes of content within the deadline.
    ///
    /// # Errors
    ///
    /// As of [`Client::open`], and if there is more content, or it breaks off.
    pub async fn fetch(
        &self,
        request: Request<Bytes>,
        longest: usize,
    ) -> Result<Bytes, RequestError> {
        let fetched = async {
            let answer = self.open(request).await?;
            read(answer.response.into_body(), longest).await
        };
        self.within(fetched).await
    }

    /// The same, with any status.
    ///
    /// # Errors
    ///
    /// As of [`Client::fetch`], but for refusals.
    pub async fn exchange(
        &self,
        request: Request<Bytes>,
        longest: usize,
    ) -> Result<Response<Bytes>, RequestError> {
        let exchanged = async {
            let answer = self.send(request).await?;
            let (parts, body) = answer.response.into_parts();
            Ok(Response::from_parts(parts, read(body, longest).await?))
        };
        self.within(exchanged).await
    }

    async fn within<T>(
        &self,
        work: impl Future<Output = Result<T, RequestError>>,
    ) -> Result<T, RequestError> {
        timeout(self.deadline, work).await.unwrap_or(Err(RequestError::Deadline(self.deadline)))
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Answer, RequestError> {
        let request = self.complete(request)?;
        // Of 16 KiB, because of TLS.
        Box::pin(self.connect(request)).await
    }

    async fn connect(&self, request: Request<Full<Bytes>>) -> Result<Answer, RequestError> {
        let address @ (host, _) = self.url.address();
        let stream = connect::connect(address).await.map_err(RequestError::Connect)?;
        if !self.url.is_tls() {
            return send_over(stream, request).await;
        }
        let nobody = || RequestError::Tls(io::Error::other("there are no authorities to trust"));
        let trust = self.trust.as_ref().ok_or_else(nobody)?;
        send_over(trust.connect(host, stream).await.map_err(RequestError::Tls)?, request).await
    }

    fn complete(&self, request: Request<Bytes>) -> Result<Request<Full<Bytes>>, RequestError> {
        let (mut parts, body) = request.into_parts();
        parts.uri = self.url.below(&parts.uri).parse().map_err(http::Error::from)?;
        let host = HeaderValue::try_from(self.url.authority()).map_err(http::Error::from)?;
        parts.headers.insert(header::HOST, host);
        parts.headers.insert(header::USER_AGENT, HeaderValue::from_static(self.agent));
        parts.headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        Ok(Request::from_parts(parts, Full::new(body)))
    }
}

async fn send_over<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, RequestError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let handshake = http1::Builder::new().max_buf_size(HEADERS).handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await?;
    // The connection makes progress only while it is polled.
    let connection = Connection(tokio::spawn(connection).abort_handle());
    let response = sender.send_request(request).await?;
    Ok(Answer { response, _connection: connection })
}

async fn read(body: Incoming, longest: usize) -> Result<Bytes, RequestError> {
    let content = Limited::new(body, longest).collect().await;
    content.map(Collected::to_bytes).map_err(RequestError::Answer)
}

/// Shows the URL without its path.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

#[cfg(test)]
mod tests;
