//! One HTTP/1.1 connection to one BMC.
//!
//! While no request is in progress, it is a socket and nothing else: no task, no timer, and none of
//! the 20 KiB that hyper keeps for a connection. It follows no redirect, and a peer gets no more
//! memory and time than [`Limits`] allows.

mod offer;

use crate::{
    BmcHost, Limits, Target, Withdrawn,
    transport::{
        json::ObjectEnd,
        limits::{
            breaker::Failure,
            budget::{Budget, LimitExceeded},
            shared::Shared,
        },
        names::DialError,
        pin::Pin,
        tls::{BmcVerifier, Changed},
        wire::offer::Offer,
    },
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Body as _, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use metal_core::redfish::Scheme;
use rustls::{CertificateError, pki_types::ServerName};
use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::{Pin as Pinned, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;

/// How long to wait for the end of the body after a complete object.
const TAIL: Duration = Duration::from_secs(1);
/// Longest response header.
const HEADER: usize = 64 << 10;

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("TLS connection failed")]
    Tls(#[source] io::Error),
    #[error(
        "TLS connection failed; if its certificate was issued for a host name, set spec.hostname \
         of the BMC"
    )]
    TlsName(#[source] io::Error),
    #[error("TLS connection failed: {0}")]
    TlsOffer(Offer, #[source] io::Error),
    #[error("TLS connection failed")]
    CertificateChanged(#[source] Changed),
    #[error("invalid TLS configuration")]
    TlsConfig(#[source] rustls::Error),
    #[error("TLS connection timed out after {0:?}")]
    TlsTimeout(Duration),
    #[error("the connection was closed before the request was sent")]
    Closed,
    #[error("no response within {0:?}")]
    HeaderTimeout(Duration),
    #[error("the response was not complete within {0:?}")]
    BodyTimeout(Duration),
    #[error(transparent)]
    LimitExceeded(#[from] LimitExceeded),
    #[error("the connection was lost")]
    Broken(#[source] hyper::Error),
    #[error("not sent")]
    Withdrawn(#[source] Withdrawn),
}

impl WireError {
    pub(crate) fn failure(&self) -> Failure {
        match self {
            Self::Dial(_)
            | Self::Tls(_)
            | Self::TlsName(_)
            | Self::TlsOffer(..)
            | Self::CertificateChanged(_)
            | Self::TlsConfig(_)
            | Self::TlsTimeout(_) => Failure::Dead,
            Self::Closed
            | Self::HeaderTimeout(_)
            | Self::BodyTimeout(_)
            | Self::LimitExceeded(_)
            | Self::Broken(_)
            | Self::Withdrawn(_) => Failure::Stuck,
        }
    }

    /// Whether the peer may simply have closed an idle connection.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self, Self::Broken(_))
    }

    /// Whether the peer has certainly received nothing of the request.
    pub(crate) fn is_unsent(&self) -> bool {
        match self {
            Self::Closed => true,
            Self::Broken(error) => error.is_canceled(),
            _ => false,
        }
    }
}

/// A request got no usable answer. Faults of the connection as a whole are reported without it.
#[derive(Debug, thiserror::Error)]
#[error("{request}")]
pub(crate) struct Unanswered {
    /// Method and path.
    pub(crate) request: String,
    #[source]
    pub(crate) error: WireError,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The body, as far as it arrived.
    pub(crate) body: Bytes,
    /// Why the body is incomplete. The status counts nevertheless: some firmware (iDRAC 7 and 8)
    /// cuts off the explanation of a 401.
    pub(crate) broken: Option<WireError>,
    /// The path that was requested.
    pub(crate) asked: String,
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

type Body = Full<Bytes>;

/// A connection with no request in progress.
pub(crate) struct Connection {
    io: Box<dyn Io>,
    last_used: Instant,
    /// The permit for keeping it open.
    permit: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// Connects. Also returns the pin for the BMC from now on.
    pub(crate) async fn open(
        shared: &Shared,
        target: &Target,
        trust: &BmcVerifier,
    ) -> Result<(Self, Option<Pin>), WireError> {
        let Shared { config, lookups, .. } = shared;
        let limits = &config.limits;
        let place = (&target.host, target.port);
        let tcp = config.names.dial(place, limits.connect, lookups).await?;
        let peer = tcp.peer_addr().map_err(DialError::Connect)?;
        tcp.set_nodelay(true).map_err(DialError::Connect)?;
        let (io, pin): (Box<dyn Io>, _) = match target.scheme {
            Scheme::Http => (Box::new(tcp), None),
            Scheme::Https => {
                let (config, verifier) = trust.connection().map_err(WireError::TlsConfig)?;
                let shake = TlsConnector::from(config).connect(server_name(&target.host)?, tcp);
                let tls = timeout(limits.tls, shake)
                    .await
                    .map_err(|_| WireError::TlsTimeout(limits.tls))?;
                match (tls, verifier.unverified_certificate()) {
                    (_, Some(Err(changed))) => return Err(WireError::CertificateChanged(changed)),
                    (Err(error), _) => {
                        return Err(no_tls(error, (&target.host, peer), limits).await);
                    }
                    (Ok(tls), unverified_certificate) => {
                        (Box::new(tls), unverified_certificate.and_then(Result::ok))
                    }
                }
            }
        };
        Ok((Self { io, last_used: Instant::now(), permit: None }, pin))
    }

    /// The connection, if there is a place to keep it.
    pub(crate) fn kept(mut self, places: &Arc<Semaphore>) -> Option<Self> {
        if self.permit.is_none() {
            self.permit = Some(Arc::clone(places).try_acquire_owned().ok()?);
        }
        Some(self)
    }

    /// Whether it was used recently enough to be assumed alive.
    pub(crate) fn is_fresh(&self, idle: Duration) -> bool {
        self.last_used.elapsed() <= idle
    }

    /// Sends a request and reads the whole response. Also returns the connection, if it can be used
    /// again.
    pub(crate) async fn exchange(
        self,
        request: http::Request<Body>,
        limits: &Limits,
        budget: &Budget<'_>,
    ) -> Result<(Reply, Option<Self>), WireError> {
        let (mut sender, driver) = http1::Builder::new()
            .max_buf_size(HEADER)
            // Some firmware compares header names case-sensitively with the spelling of the
            // standard, and some sends lines that are not headers.
            .title_case_headers(true)
            .ignore_invalid_headers_in_responses(true)
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .handshake(TokioIo::new(self.io))
            .await
            .map_err(WireError::Broken)?;
        let mut line = OpenConnection { driver, has_ended: false };
        line.settle().await;
        if line.has_ended {
            return Err(WireError::Closed);
        }
        let response = line
            .until(limits.headers, sender.send_request(request))
            .await
            .ok_or(WireError::HeaderTimeout(limits.headers))?
            .map_err(WireError::Broken)?;
        let (head, body) = response.into_parts();
        let mut bytes = BytesMut::new();
        let whole = line.read(body, &mut bytes, limits, budget).await;
        let is_clean = matches!(whole, Ok(End::Clean));
        let (mut body, mut broken) = (bytes.freeze(), whole.err());
        if broken.is_none() {
            match budget.decode(&head.headers, body).await {
                Ok(decoded) => body = decoded,
                Err(excess) => (body, broken) = (Bytes::new(), Some(excess.into())),
            }
        }
        let io = if is_clean && broken.is_none() { line.finish().await } else { None };
        let (status, headers, asked) = (head.status, head.headers, String::new());
        let reply = Reply { status, headers, body, broken, asked };
        let (last_used, permit) = (Instant::now(), self.permit);
        Ok((reply, io.map(|io| Self { io, last_used, permit })))
    }
}

/// Why TLS failed, with what the BMC offers if that may be the cause.
async fn no_tls(
    error: io::Error,
    (host, peer): (&BmcHost, SocketAddr),
    limits: &Limits,
) -> WireError {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    if let Some(rustls::Error::InvalidCertificate(
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
    )) = cause
    {
        // The certificate is not for the known name or address.
        return match host {
            BmcHost::Address(_) => WireError::TlsName(error),
            BmcHost::Name(_) => WireError::Tls(error),
        };
    }
    let may_be_old = match cause {
        // It is not trusted, whatever the peer offers.
        Some(rustls::Error::InvalidCertificate(why)) => *why == CertificateError::BadSignature,
        // The peer does not speak TLS.
        Some(rustls::Error::InvalidMessage(_)) => false,
        Some(_) | None => true,
    };
    let offer = if may_be_old { Offer::of(peer, limits).await } else { None };
    match offer {
        Some(offer) => WireError::TlsOffer(offer, error),
        None => WireError::Tls(error),
    }
}

/// The name that the certificate has to be for.
fn server_name(host: &BmcHost) -> Result<ServerName<'static>, WireError> {
    match host {
        BmcHost::Address(address) => Ok((*address).into()),
        BmcHost::Name(name) => ServerName::try_from(name.as_str().to_owned())
            .map_err(|error| WireError::Tls(io::Error::other(error))),
    }
}

/// A connection in use.
struct OpenConnection {
    driver: http1::Connection<TokioIo<Box<dyn Io>>, Body>,
    has_ended: bool,
}

impl OpenConnection {
    fn poll(&mut self, cx: &mut Context<'_>) {
        if !self.has_ended {
            self.has_ended = Pinned::new(&mut self.driver).poll(cx).is_ready();
        }
    }

    /// Drives the connection until something that happens on it, or until the time limit.
    async fn until<T>(&mut self, limit: Duration, wanted: impl Future<Output = T>) -> Option<T> {
        let mut wanted = pin!(wanted);
        let progress = poll_fn(|cx| {
            self.poll(cx);
            wanted.as_mut().poll(cx)
        });
        timeout(limit, progress).await.ok()
    }

    /// Reads a body within its time limit.
    async fn read(
        &mut self,
        body: Incoming,
        bytes: &mut BytesMut,
        limits: &Limits,
        budget: &Budget<'_>,
    ) -> Result<End, WireError> {
        let collected = collect(body, bytes, budget, TAIL.min(limits.body / 2));
        self.until(limits.body, collected).await.unwrap_or_else(|| {
            // Others wait for the place that this body takes.
            let slow = LimitExceeded::Slow(limits.body.as_secs());
            Err(if budget.has_place() { slow.into() } else { WireError::BodyTimeout(limits.body) })
        })
    }

    /// Lets the connection do what it can do at once.
    async fn settle(&mut self) {
        poll_fn(|cx| {
            self.poll(cx);
            Poll::Ready(())
        })
        .await;
    }

    /// The socket, if the peer keeps it open and has sent nothing unrequested.
    async fn finish(mut self) -> Option<Box<dyn Io>> {
        self.settle().await;
        if self.has_ended {
            return None;
        }
        let parts = self.driver.into_parts();
        parts.read_buf.is_empty().then(|| parts.io.into_inner())
    }
}

/// How a body ended.
enum End {
    /// As HTTP requires.
    Clean,
    /// After a complete object, without what HTTP requires there: no `close_notify`, no last chunk,
    /// or a `Content-Length` that is too long.
    Cut,
}

async fn collect(
    mut body: Incoming,
    bytes: &mut BytesMut,
    budget: &Budget<'_>,
    tail: Duration,
) -> Result<End, WireError> {
    // A body that declares itself too long is not read at all.
    let announced = body.size_hint().exact().and_then(|length| usize::try_from(length).ok());
    if let Some(length) = announced {
        budget.announce(length)?;
    }
    let mut object_end = ObjectEnd::default();
    loop {
        let next = body.frame();
        let frame = if object_end.is_closed() {
            let Ok(frame) = timeout(tail, next).await else { return Ok(End::Cut) };
            frame
        } else {
            next.await
        };
        match frame {
            None => return Ok(End::Clean),
            Some(Err(_)) if object_end.is_closed() => return Ok(End::Cut),
            Some(frame) => {
                if let Ok(data) = frame.map_err(WireError::Broken)?.into_data() {
                    budget.grow(bytes.len(), data.len()).await?;
                    object_end.feed(&data);
                    bytes.extend_from_slice(&data);
                }
            }
        }
    }
}
