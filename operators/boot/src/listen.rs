//! One listener: HTTP/1.1, with a limit on everything that a stranger could hold on to.

use crate::http::Peer;
use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Connections at a time; further ones wait in the kernel.
const CONNECTIONS: usize = 4096;
/// How long a request may take to arrive, and a connection to be idle.
const REQUEST: Duration = Duration::from_secs(15);
/// How long a machine may take no byte of an answer.
const STALLED: Duration = Duration::from_mins(1);
/// How much of a request may arrive before it is one.
const HEAD: usize = 16 << 10;
/// How long downloads under way may go on after the shutdown has begun.
const DRAIN: Duration = Duration::from_secs(25);
/// Pause after the kernel had no room for a connection.
const NO_ROOM: Duration = Duration::from_millis(100);

/// Serves until `shutdown`, and then what is under way; by HTTPS, if there is TLS.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    shutdown: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            () = shutdown.cancelled() => break,
        };
        let (stream, peer, slot) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                sleep(NO_ROOM).await;
                continue;
            }
        };
        let (tls, router, shutdown) = (tls.clone(), router.clone(), shutdown.clone());
        connections.spawn(async move {
            match tls {
                None => connection(stream, peer, router, shutdown).await,
                Some(tls) => {
                    if let Some(stream) = shake_hands(&tls, stream, peer).await {
                        connection(stream, peer, router, shutdown).await;
                    }
                }
            }
            drop(slot);
        });
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(DRAIN, drained).await.is_err() {
        tracing::warn!("downloads cut off by the shutdown");
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    let socket = SockRef::from(&stream);
    socket.set_tcp_nodelay(true)?;
    // Ends a connection whose other end is gone, or keeps its window shut.
    socket.set_tcp_user_timeout(Some(STALLED))?;
    Ok((stream, peer, slot))
}

/// The connection, once both sides are content.
async fn shake_hands(
    tls: &TlsAcceptor,
    stream: TcpStream,
    peer: SocketAddr,
) -> Option<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
    match timeout(REQUEST, tls.accept(stream)).await {
        Ok(Ok(stream)) => Some(stream),
        // A machine that does not know our authority says so, and then says no more.
        Ok(Err(error)) => {
            tracing::info!(%error, %peer, "no HTTPS with this machine");
            None
        }
        Err(_) => {
            tracing::debug!(%peer, "no TLS handshake in time");
            None
        }
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    peer: SocketAddr,
    router: Router,
    shutdown: CancellationToken,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer));
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "connection ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Extension, routing::get};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::Notify,
    };

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn handlers_know_the_other_end_and_a_request_under_way_outlives_the_shutdown() {
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (begins, waits) = (Arc::clone(&begun), Arc::clone(&go_on));
        let handler = move |Extension(Peer(peer)): Extension<Peer>| async move {
            begins.notify_one();
            waits.notified().await;
            peer.ip().to_string()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let router = Router::new().route("/", get(handler));
        let serving = tokio::spawn(serve(listener, None, router, shutdown.clone()));

        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        timeout(LIMIT, begun.notified()).await.unwrap();
        shutdown.cancel();
        go_on.notify_one();
        let mut answer = String::new();
        timeout(LIMIT, client.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("127.0.0.1"), "{answer}");
        timeout(LIMIT, serving).await.unwrap().unwrap();
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    }

    #[tokio::test]
    async fn a_head_without_end_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, None, Router::new(), shutdown.clone()));
        let mut client = TcpStream::connect(address).await.unwrap();
        let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(2 * HEAD));
        // The answer may come before all of it is sent.
        client.write_all(long.as_bytes()).await.ok();
        let mut answer = vec![];
        timeout(LIMIT, client.read_to_end(&mut answer)).await.unwrap().ok();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
        shutdown.cancel();
        timeout(LIMIT, serving).await.unwrap().unwrap();
    }
}
