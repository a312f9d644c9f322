//! The listener of all HTTP ports, plain or with TLS, which limits everything that a stranger could
//! hold on to: connections in total and per source, time, and memory.
//!
//! For the limits, a connection is in one of these phases:
//!
//! ```text
//!  accepted                first byte                 end of the head
//! ──────────► New ──────────────────────► Head ───────────────────────► Handling
//!                                          ▲                               │ response
//!                             first byte   │        all is flushed         ▼
//!                                         Idle ◄───────────────────── Answering
//! ```
//!
//! When a source or the port has no room for another connection, an idle one is closed: the longest
//! idle one of the source with the most connections. If there is none, one is closed whose peer has
//! not transferred what it owes for long, or has waited for our answer for long. So neither idle nor
//! slow connections, nor requests that take long, block a port for others. Ports have separate limits: a probe is answered while machines fill the boot port.

mod body;
mod connection;
mod files;
mod forwarded;
mod limits;
mod stream;
mod table;

pub use files::raise_file_limit;
pub use forwarded::client;
pub use limits::Limits;

use crate::LogLimit;
use axum::{Router, body::Body, extract::Request, response::Response};
use body::{LimitedRequestBody, ResponseBody, discard};
use connection::Connection;
use futures::future::join_all;
use http::{HeaderValue, StatusCode, header};
use hyper::{
    body::{Body as _, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use socket2::SockRef;
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use stream::MonitoredStream;
use table::{ConnectionGuard, Table};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::{JoinSet, yield_now},
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How many connections may be queued in the kernel until they are accepted.
const BACKLOG: i32 = 4096;
/// Pause after the kernel could not accept a connection.
const NO_ROOM: Duration = Duration::from_millis(10);
/// How much of a response may be queued in the kernel, beyond the peer's receive window.
const UNSENT: u32 = 128 << 10;

/// The peer of a connection; an extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Our end of a connection, if it is known; an extension of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local(pub SocketAddr);

/// A port, with HTTPS if it has TLS.
pub struct Port {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    proxies: Vec<IpNet>,
}

impl Port {
    /// Lets these proxies have as many connections as the port may have: all their clients come from a few addresses.
    #[must_use]
    pub fn behind(self, proxies: &[IpNet]) -> Self {
        Self { proxies: proxies.to_vec(), ..self }
    }
}

impl From<TcpListener> for Port {
    fn from(listener: TcpListener) -> Self {
        Self { listener, tls: None, proxies: Vec::new() }
    }
}

impl From<(TcpListener, TlsAcceptor)> for Port {
    fn from((listener, tls): (TcpListener, TlsAcceptor)) -> Self {
        Self { listener, tls: Some(tls), proxies: Vec::new() }
    }
}

/// Serves until `shutdown`, and then completes requests in progress for as long as `limits` allow.
pub async fn serve(
    port: impl Into<Port>,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let Port { listener, tls, proxies } = port.into();
    let limits = limits.fitting(files::file_limit());
    // If this fails, the queue is shorter.
    SockRef::from(&listener).listen(BACKLOG).ok();
    let told = Arc::<LogLimit>::default();
    let context = Arc::new(PortContext { limits, router, tls, shutdown, told });
    let table = Arc::new(Table::new(limits, proxies));
    let mut sweep = interval(limits.sweep());
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            now = sweep.tick() => {
                table.sweep(now);
                continue;
            }
            () = context.shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(place) = table.admit(peer, Instant::now()) else { continue };
                let local = stream.local_addr().ok();
                let context = Arc::clone(&context);
                connections.spawn(ConnectionContext { peer, local, context }.serve(stream, place));
                // It may have sent a request already, which should be noticed before others need
                // its place.
                yield_now().await;
            }
            Err(error) => {
                if context.told.may() {
                    tracing::warn!(%error, "could not accept a connection");
                }
                table.make_room(Instant::now());
                sleep(NO_ROOM).await;
            }
        }
    }
    drop(listener);
    drain(connections, &table, sweep, limits.drain).await;
}

/// Serves the same at all ports until `shutdown`, with separate limits.
pub async fn serve_all(
    ports: impl IntoIterator<Item = Port>,
    router: &Router,
    limits: Limits,
    shutdown: &CancellationToken,
) {
    let serve = |port: Port| serve(port, router.clone(), limits, shutdown.clone());
    let serving = join_all(ports.into_iter().map(serve));
    tokio::join!(serving, shutdown.cancelled());
}

/// Waits for requests in progress; the limits still apply.
async fn drain(
    mut connections: JoinSet<()>,
    table: &Table,
    mut sweep: tokio::time::Interval,
    limit: Duration,
) {
    let drained = async {
        while !connections.is_empty() {
            tokio::select! {
                _ = connections.join_next() => {}
                now = sweep.tick() => table.sweep(now),
            }
        }
    };
    if timeout(limit, drained).await.is_err() && !limit.is_zero() {
        tracing::warn!("shutdown interrupted requests");
    }
}

/// What all connections of a port are served with.
struct PortContext {
    limits: Limits,
    router: Router,
    tls: Option<TlsAcceptor>,
    shutdown: CancellationToken,
    told: Arc<LogLimit>,
}

/// What a connection is served with.
struct ConnectionContext {
    peer: SocketAddr,
    local: Option<SocketAddr>,
    context: Arc<PortContext>,
}

fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    // Ends a connection whose peer is gone, or keeps its receive window closed.
    socket.set_tcp_user_timeout(Some(limits::STALLED))?;
    socket.set_tcp_notsent_lowat(UNSENT)
}

impl ConnectionContext {
    /// Serves one connection, from its first byte until it ends or has to be closed.
    async fn serve(self, stream: TcpStream, place: ConnectionGuard) {
        let peer = self.peer;
        let connection = Arc::clone(place.connection());
        if let Err(error) = prepare(&stream) {
            tracing::debug!(%error, %peer, "could not set up a connection");
            return;
        }
        let PortContext { limits, tls, told, .. } = &*self.context;
        let stream = MonitoredStream::new(stream, Arc::clone(&connection), *limits);
        let talking = async {
            match tls {
                None => self.run(stream, &connection).await,
                // Has the time limit of a header.
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => self.run(stream, &connection).await,
                    // A machine that does not trust our authority reports that, and then closes the
                    // connection.
                    Err(error) if told.may() => {
                        tracing::info!(%error, %peer, "TLS handshake with a machine failed");
                    }
                    Err(_) => {}
                },
            }
        };
        tokio::select! {
            () = talking => {}
            reason = connection.dismissed() => tracing::debug!(%peer, %reason, "connection closed"),
        }
        drop(place);
    }

    async fn run<S>(&self, stream: S, connection: &Arc<Connection>)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let service = service_fn(|request| self.answer(connection, request));
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            // The table has the time limits.
            .header_read_timeout(None)
            .max_buf_size(self.context.limits.head_bytes)
            // GRUB and shim under UEFI HTTP boot compare header names with the spelling in RFC
            // 9110, and would ignore `content-length`.
            .title_case_headers(true)
            .serve_connection(TokioIo::new(stream), service);
        let mut serving = std::pin::pin!(serving);
        let ended = tokio::select! {
            ended = serving.as_mut() => ended,
            () = self.context.shutdown.cancelled() => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, peer = %self.peer, "connection ended");
        }
    }

    async fn answer(
        &self,
        connection: &Arc<Connection>,
        request: Request<Incoming>,
    ) -> Result<Response, Infallible> {
        let PortContext { limits, router, .. } = &*self.context;
        connection.request(Instant::now());
        let expects = request.headers().contains_key(header::EXPECT);
        let response = if request.body().size_hint().lower() > limits.body_bytes {
            if !expects {
                discard(request.into_body(), limits.discard).await;
            }
            too_large(*limits)
        } else {
            let (head, body) = request.into_parts();
            let (body, rest) = LimitedRequestBody::new(body, *limits, Arc::clone(connection));
            let mut request = Request::from_parts(head, Body::new(body));
            request.extensions_mut().insert(Peer(self.peer));
            if let Some(local) = self.local {
                request.extensions_mut().insert(Local(local));
            }
            let response = router.clone().oneshot(request).await?;
            rest.discard(expects, limits.discard).await;
            response
        };
        connection.response(Instant::now());
        Ok(response.map(|body| Body::new(ResponseBody::new(body, Arc::clone(connection)))))
    }
}

/// The body would be too large; none of it was kept.
fn too_large(limits: Limits) -> Response {
    let text = format!("body: larger than {} bytes\n", limits.body_bytes);
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests;
