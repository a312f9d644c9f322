//! One HTTP/1.1 connection to one BMC.
//!
//! It is driven only while a request is under way: an idle connection has no task and no timer. It
//! follows no redirect, and trusts the peer with no more memory and time than [`Limits`] says.

use crate::{
    Limits, Target,
    breaker::Failure,
    tls::{Changed, Pin, Trust},
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use metal_core::redfish::Scheme;
use std::{future::poll_fn, io, pin::Pin as Pinned, task::Poll, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;

/// What hyper reads at once, keeps while idle, and takes as a header at most.
const READ_BUFFER: usize = 4096;

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error("no TCP connection")]
    Connect(#[source] io::Error),
    #[error("no TLS connection")]
    Tls(#[source] io::Error),
    #[error("no TLS connection")]
    Stranger(#[source] Changed),
    #[error("no TLS with this configuration")]
    TlsConfig(#[source] rustls::Error),
    #[error("no {0} connection within {1:?}")]
    ConnectTimeout(&'static str, Duration),
    #[error("no HTTP connection")]
    Handshake(#[source] hyper::Error),
    #[error("no response within {0:?}")]
    HeaderTimeout(Duration),
    #[error("no end of the response within {0:?}")]
    BodyTimeout(Duration),
    #[error("the response is longer than {0} bytes")]
    TooLong(usize),
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
}

impl WireError {
    pub(crate) fn failure(&self) -> Failure {
        match self {
            Self::Connect(_)
            | Self::Tls(_)
            | Self::Stranger(_)
            | Self::TlsConfig(_)
            | Self::ConnectTimeout(..)
            | Self::Handshake(_) => Failure::Dead,
            Self::HeaderTimeout(_) | Self::BodyTimeout(_) | Self::TooLong(_) | Self::Broken(_) => {
                Failure::Stuck
            }
        }
    }

    /// Whether the peer may simply have closed an idle connection.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self, Self::Broken(_))
    }

    /// Whether the peer certainly got nothing of the request.
    pub(crate) fn is_unsent(&self) -> bool {
        matches!(self, Self::Broken(error) if error.is_canceled())
    }
}

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

type Body = Full<Bytes>;
type Driver = http1::Connection<TokioIo<Box<dyn Io>>, Body>;

/// A connection.
pub(crate) struct Connection {
    sender: SendRequest<Body>,
    driver: Pinned<Box<Driver>>,
    has_ended: bool,
    last_used: Instant,
    /// What lets it stay open while idle.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// Connects, and tells which certificate to hold the BMC to from now on.
    pub(crate) async fn open(
        target: &Target,
        trust: &Trust,
        pin: Option<Pin>,
        limits: &Limits,
    ) -> Result<(Self, Option<Pin>), WireError> {
        let dial = TcpStream::connect((target.address, target.port));
        let tcp = timeout(limits.connect, dial)
            .await
            .map_err(|_| WireError::ConnectTimeout("TCP", limits.connect))?
            .map_err(WireError::Connect)?;
        tcp.set_nodelay(true).map_err(WireError::Connect)?;
        let (io, pin): (Box<dyn Io>, _) = match target.scheme {
            Scheme::Http => (Box::new(tcp), None),
            Scheme::Https => {
                let (config, verifier) = trust.connection(pin).map_err(WireError::TlsConfig)?;
                let shake = TlsConnector::from(config).connect(target.address.into(), tcp);
                let tls = timeout(limits.tls, shake)
                    .await
                    .map_err(|_| WireError::ConnectTimeout("TLS", limits.tls))?;
                match (tls, verifier.stranger()) {
                    (_, Some(Err(changed))) => return Err(WireError::Stranger(changed)),
                    (Err(error), _) => return Err(WireError::Tls(error)),
                    (Ok(tls), stranger) => (Box::new(tls), stranger.and_then(Result::ok)),
                }
            }
        };
        let (sender, driver) = http1::Builder::new()
            .read_buf_exact_size(Some(READ_BUFFER))
            .handshake(TokioIo::new(io))
            .await
            .map_err(WireError::Handshake)?;
        let driver = Box::pin(driver);
        let (last_used, has_ended) = (Instant::now(), false);
        Ok((Self { sender, driver, has_ended, last_used, permit: None }, pin))
    }

    /// Whether it can take a request, as far as one can tell without sending one.
    pub(crate) async fn is_alive(&mut self, idle: Duration) -> bool {
        if self.last_used.elapsed() > idle || self.has_ended {
            return false;
        }
        poll_fn(|cx| {
            self.has_ended |= self.driver.as_mut().poll(cx).is_ready();
            Poll::Ready(())
        })
        .await;
        !self.has_ended
    }

    /// Sends a request and reads the response to its end.
    pub(crate) async fn exchange(
        &mut self,
        request: http::Request<Body>,
        limits: &Limits,
    ) -> Result<Reply, WireError> {
        let response = async {
            self.sender.ready().await?;
            self.sender.send_request(request).await
        };
        let response = drive(&mut self.driver, &mut self.has_ended, limits.headers, response)
            .await
            .ok_or(WireError::HeaderTimeout(limits.headers))?
            .map_err(WireError::Broken)?;
        let (head, body) = response.into_parts();
        let body = collect(body, limits.body_bytes);
        let body = drive(&mut self.driver, &mut self.has_ended, limits.body, body)
            .await
            .ok_or(WireError::BodyTimeout(limits.body))??;
        self.last_used = Instant::now();
        Ok(Reply { status: head.status, headers: head.headers, body })
    }
}

/// Waits for something that happens on a connection, and lets it happen.
async fn drive<T>(
    driver: &mut Pinned<Box<Driver>>,
    has_ended: &mut bool,
    limit: Duration,
    wanted: impl Future<Output = T>,
) -> Option<T> {
    let mut wanted = std::pin::pin!(wanted);
    let progress = poll_fn(|cx| {
        if !*has_ended {
            *has_ended = driver.as_mut().poll(cx).is_ready();
        }
        wanted.as_mut().poll(cx)
    });
    timeout(limit, progress).await.ok()
}

async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, WireError> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(WireError::Broken)?.into_data() {
            if bytes.len() + data.len() > limit {
                return Err(WireError::TooLong(limit));
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes.freeze())
}
