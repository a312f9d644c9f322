//! Sockets as the configuration has them, now and from now on.

use super::{
    FILES, Files, handshaker, listener::Listener, metrics::Metrics, server::Server,
    socket::Requests,
};
use crate::neighbor_limit::NeighborLimit;
use metal_runtime::{health::Gate, jittered, report::Chain};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    thread::{self, Builder, Scope},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

/// How soon an address that could not be served is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// What a server is made of; `C` is the configuration.
pub struct Parts<C> {
    /// Where requests come in; nowhere, as long as there is to be no TFTP server.
    pub addresses: Addresses<C>,
    /// What there is to be had.
    pub files: Box<dyn Files>,
    /// Whose addresses are known.
    pub neighbors: NeighborLimit,
    /// What is counted.
    pub metrics: Metrics,
    /// Open while every address is served.
    pub ready: Gate,
}

/// Addresses, now and from now on.
#[derive(Debug)]
pub struct Addresses<C> {
    /// What they are part of.
    pub config: watch::Receiver<Arc<C>>,
    /// Takes them out of it.
    pub of: fn(&C) -> Vec<SocketAddr>,
}

/// Nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be served.
    #[error(
        "{address}: TFTP cannot be served; is another TFTP server running, or a right missing?"
    )]
    Address {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The kernel has no room for what is shared by all addresses.
    #[error("TFTP cannot be served")]
    Shared(#[source] io::Error),
}

/// Serves until `shutdown`, whatever the configuration has for it, which may be nothing. Blocks;
/// call it where a tokio runtime may be blocked. Tells `opened` the addresses of its sockets once
/// they are open.
///
/// # Errors
///
/// If an address that it has at the start cannot be served. One that comes later is tried again.
pub fn serve<C>(
    parts: Parts<C>,
    opened: oneshot::Sender<Vec<SocketAddr>>,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let Parts { mut addresses, files, neighbors, metrics, ready } = parts;
    raise_files();
    let server = Server::new(files, neighbors, metrics).map_err(Error::Shared)?;
    let waiter = Builder::new().name("tftp-handshakes".to_owned());
    let answerer = Builder::new().name("tftp-answers".to_owned());
    thread::scope(|scope| {
        let look_after = || handshaker::run(&server, scope);
        waiter.spawn_scoped(scope, look_after).map_err(Error::Shared)?;
        let answering = answerer.spawn_scoped(scope, || server.answer_in_turn());
        // The other thread would wait for ever.
        let stop = || server.is_stopping.store(true, Ordering::Relaxed);
        answering.inspect_err(|_| stop()).map_err(Error::Shared)?;
        let mut listeners = Vec::new();
        let wanted = addresses.wanted();
        let result = open(&wanted, &mut listeners, &server, scope).map(|open| {
            ready.open();
            // Whoever asked may have lost interest.
            opened.send(open).ok();
            follow(&mut addresses, &mut listeners, &server, scope, &ready, shutdown);
        });
        server.is_stopping.store(true, Ordering::Relaxed);
        listeners.into_iter().for_each(Listener::close);
        result
    })
}

impl<C> Addresses<C> {
    fn wanted(&mut self) -> Vec<SocketAddr> {
        (self.of)(&self.config.borrow_and_update())
    }

    /// Until there is something to do; whether there is.
    fn wait(&mut self, is_whole: bool, shutdown: &CancellationToken) -> bool {
        Handle::current().block_on(async {
            tokio::select! {
                () = shutdown.cancelled() => false,
                // An error says that nothing changes any more.
                changed = self.config.changed() => {
                    changed.is_ok() || { shutdown.cancelled().await; false }
                }
                () = sleep(jittered(RETRY)), if !is_whole => true,
            }
        })
    }
}

fn follow<'scope, C>(
    addresses: &mut Addresses<C>,
    listeners: &mut Vec<Listener<'scope>>,
    server: &'scope Server,
    scope: &'scope Scope<'scope, '_>,
    ready: &Gate,
    shutdown: &CancellationToken,
) {
    let mut is_whole = true;
    while addresses.wait(is_whole, shutdown) {
        let wanted = addresses.wanted();
        let unwanted = listeners.extract_if(.., |listener| !wanted.contains(&listener.wanted));
        unwanted.for_each(Listener::close);
        match open(&wanted, listeners, server, scope) {
            Ok(addresses) => {
                if !addresses.is_empty() {
                    tracing::info!(?addresses, "serving TFTP");
                }
                is_whole = true;
                ready.open();
            }
            Err(error) => {
                let error = Chain(&error).to_string();
                if is_whole {
                    tracing::error!(error, "TFTP not served on this address; retrying");
                }
                is_whole = false;
                ready.wait_for(error);
            }
        }
    }
}

/// Raises the limit of open files to what transfers need.
fn raise_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let wanted = FILES.min(hard);
        if soft < wanted { setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) } else { Ok(()) }
    });
    if let Err(error) = raised {
        tracing::warn!(%error, wanted = FILES, "limit of open files not raised");
    }
}

/// Opens what is not open yet, and returns its addresses.
fn open<'scope>(
    wanted: &[SocketAddr],
    listeners: &mut Vec<Listener<'scope>>,
    server: &'scope Server,
    scope: &'scope Scope<'scope, '_>,
) -> Result<Vec<SocketAddr>, Error> {
    let mut opened = Vec::new();
    for &address in wanted {
        if listeners.iter().any(|listener| listener.wanted == address) {
            continue;
        }
        let failed = |source| Error::Address { address, source };
        let requests = Requests::open(address).map_err(failed)?;
        opened.push(requests.address().map_err(failed)?);
        listeners.push(Listener::start(address, requests, server, scope).map_err(failed)?);
    }
    Ok(opened)
}
