//! Opens sockets for the addresses in the configuration, now and after each change.

use super::{
    FILES, Files, handshaker, listener::Listener, metrics::Metrics, server::Server,
    socket::Requests,
};
use crate::neighbor_limit::NeighborLimit;
use metal_runtime::{health::ReadinessCondition, jittered, report::Chain};
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

/// How soon an address that could not be served is retried.
const RETRY: Duration = Duration::from_secs(5);

/// What a server consists of; `C` is the configuration.
pub struct Parts<C> {
    /// The addresses to listen on; none while there is to be no TFTP server.
    pub addresses: Addresses<C>,
    /// The files that can be requested.
    pub files: Box<dyn Files>,
    /// Known addresses.
    pub neighbors: NeighborLimit,
    /// What is counted.
    pub metrics: Metrics,
    /// Open while every address is served.
    pub ready: ReadinessCondition,
}

/// Addresses, now and after each change.
#[derive(Debug)]
pub struct Addresses<C> {
    /// The configuration that they are part of.
    pub config: watch::Receiver<Arc<C>>,
    /// Extracts them from it.
    pub of: fn(&C) -> Vec<SocketAddr>,
}

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be served.
    #[error(
        "{address}: could not listen for TFTP; check that no other TFTP server is running, and \
         that this process has CAP_NET_BIND_SERVICE"
    )]
    Address {
        /// The address.
        address: SocketAddr,
        /// The reason.
        source: io::Error,
    },
    /// The kernel has no room for what all addresses share.
    #[error("could not start the TFTP server")]
    Shared(#[source] io::Error),
}

/// Serves the addresses in the configuration, of which there may be none, until `shutdown`. Blocks;
/// call it where a tokio runtime may be blocked. Sends the addresses of its sockets to `opened`
/// once they are open.
///
/// # Errors
///
/// If an initial address cannot be served. Later ones are retried.
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
        // The other thread would wait forever.
        let stop = || server.is_stopping.store(true, Ordering::Relaxed);
        answering.inspect_err(|_| stop()).map_err(Error::Shared)?;
        let mut listeners = Listeners { open: Vec::new(), server: &server, scope };
        let result = listeners.open(&addresses.wanted()).map(|open| {
            ready.open();
            // The receiver may be gone.
            opened.send(open).ok();
            listeners.follow(&mut addresses, &ready, shutdown);
        });
        server.is_stopping.store(true, Ordering::Relaxed);
        listeners.open.into_iter().for_each(Listener::close);
        result
    })
}

impl<C> Addresses<C> {
    fn wanted(&mut self) -> Vec<SocketAddr> {
        (self.of)(&self.config.borrow_and_update())
    }

    /// Waits until there is something to do; returns whether there is.
    fn wait(&mut self, is_whole: bool, shutdown: &CancellationToken) -> bool {
        Handle::current().block_on(async {
            tokio::select! {
                () = shutdown.cancelled() => false,
                // An error means that there will be no more changes.
                changed = self.config.changed() => {
                    changed.is_ok() || { shutdown.cancelled().await; false }
                }
                () = sleep(jittered(RETRY)), if !is_whole => true,
            }
        })
    }
}

/// The sockets that receive requests.
struct Listeners<'scope, 'env> {
    open: Vec<Listener<'scope>>,
    server: &'scope Server,
    scope: &'scope Scope<'scope, 'env>,
}

impl Listeners<'_, '_> {
    /// Opens and closes sockets as the configuration changes.
    fn follow<C>(
        &mut self,
        addresses: &mut Addresses<C>,
        ready: &ReadinessCondition,
        shutdown: &CancellationToken,
    ) {
        let mut is_whole = true;
        while addresses.wait(is_whole, shutdown) {
            let wanted = addresses.wanted();
            let unwanted = self.open.extract_if(.., |it| !wanted.contains(&it.wanted));
            unwanted.for_each(Listener::close);
            match self.open(&wanted) {
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
                        tracing::error!(error, "could not serve TFTP on this address; retrying");
                    }
                    is_whole = false;
                    ready.wait_for(error);
                }
            }
        }
    }

    /// Opens what is not open yet, and returns the addresses.
    fn open(&mut self, wanted: &[SocketAddr]) -> Result<Vec<SocketAddr>, Error> {
        let mut opened = Vec::new();
        for &address in wanted {
            if self.open.iter().any(|listener| listener.wanted == address) {
                continue;
            }
            let failed = |source| Error::Address { address, source };
            let requests = Requests::open(address).map_err(failed)?;
            opened.push(requests.address().map_err(failed)?);
            let listener = Listener::start(address, requests, self.server, self.scope);
            self.open.push(listener.map_err(failed)?);
        }
        Ok(opened)
    }
}

/// Raises the limit of open files to what transfers need.
fn raise_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let wanted = FILES.min(hard);
        if soft < wanted { setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) } else { Ok(()) }
    });
    if let Err(error) = raised {
        tracing::warn!(%error, wanted = FILES, "could not raise the limit of open files");
    }
}
