//! The socket shared by all BMCs: the local address of a connection says which one is meant.

use super::{fleet::Fleet, machine::Machine, redfish};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, sleep},
};

/// Connections at a time, for the whole fleet.
const CONNECTIONS: usize = 32_768;
/// An idle connection is closed after this long.
const IDLE: Duration = Duration::from_mins(5);
/// Pause when the system has no more sockets.
const BREATH: Duration = Duration::from_millis(50);

/// Listens on an address, and only on that device if one is given.
pub(super) fn listen(address: SocketAddr, device: Option<&str>) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind_device(device.map(str::as_bytes))?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    TcpListener::from_std(socket.into())
}

/// Accepts until the fleet stops.
pub(super) async fn run(fleet: Arc<Fleet>, listener: TcpListener) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let accept = async {
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let served = serve(Arc::clone(&fleet), stream);
                    let stop = fleet.stop.clone();
                    fleet.running.spawn(async move {
                        stop.run_until_cancelled(served).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "accept failed");
                    sleep(BREATH).await;
                }
            }
        }
    };
    fleet.stop.run_until_cancelled(accept).await;
}

async fn serve(fleet: Arc<Fleet>, stream: TcpStream) {
    let local = stream.local_addr().map(|address| address.ip()).ok();
    let found = local.and_then(|address| {
        let machine = fleet.at(address)?;
        let mut state = machine.lock();
        state.is_reachable(Instant::now()).then(|| {
            state.counters.connections += 1;
            (address, machine)
        })
    });
    match found {
        Some((address, machine)) => {
            stream.set_nodelay(true).ok();
            match &fleet.authority {
                None => converse(&fleet, machine, stream).await,
                Some(authority) => match authority.accept(address, stream).await {
                    Ok(stream) => converse(&fleet, machine, stream).await,
                    Err(error) => tracing::trace!(%error, "TLS"),
                },
            }
        }
        // No BMC has this address: as close to "connection refused" as a shared socket gets.
        None => SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap_or_default(),
    }
}

async fn converse<S>(fleet: &Arc<Fleet>, machine: &Machine, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| redfish::answer(fleet, machine, request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::trace!(%error, "connection ended");
    }
}
