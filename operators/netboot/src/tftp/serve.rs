//! Sockets as the configuration has them, now and from now on.

use super::{
    FILES, greeting, listener::Listener, metrics::Metrics, server::Server, socket::Requests,
};
use crate::{guests::Guests, machines::Machines};
use metal_dhcp::config::Config;
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

/// What a server is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The configuration, now and from now on.
    pub config: watch::Receiver<Arc<Config>>,
    /// What machines boot; without it what the configuration has.
    pub machines: Option<Arc<Machines>>,
    /// Whose addresses are known.
    pub guests: Guests,
    /// What is counted.
    pub metrics: Metrics,
    /// Open while every address is served.
    pub ready: Gate,
}

/// Nothing can be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// An address cannot be served.
    #[error(
        "tftp.listen: {address} cannot be served; is another TFTP server running, or a right missing?"
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
pub(crate) fn serve(
    parts: Parts,
    opened: oneshot::Sender<Vec<SocketAddr>>,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let Parts { mut config, machines, guests, metrics, ready } = parts;
    raise_files();
    let server = Server::new(config.clone(), machines, guests, metrics).map_err(Error::Shared)?;
    let greeter = Builder::new().name("tftp-greetings".to_owned());
    let answerer = Builder::new().name("tftp-answers".to_owned());
    thread::scope(|scope| {
        let look_after = || greeting::look_after(&server, scope);
        greeter.spawn_scoped(scope, look_after).map_err(Error::Shared)?;
        let answering = answerer.spawn_scoped(scope, || server.answer_in_turn());
        // The other thread would wait for ever.
        let stop = || server.is_stopping.store(true, Ordering::Relaxed);
        answering.inspect_err(|_| stop()).map_err(Error::Shared)?;
        let mut listeners = Vec::new();
        let wanted = wanted(&config.borrow_and_update());
        let addresses = open(&wanted, &mut listeners, &server, scope);
        let result = addresses.map(|addresses| {
            ready.open();
            // Whoever asked may have lost interest.
            opened.send(addresses).ok();
            follow(&mut config, &mut listeners, &server, scope, &ready, shutdown);
        });
        server.is_stopping.store(true, Ordering::Relaxed);
        listeners.into_iter().for_each(Listener::close);
        result
    })
}

fn follow<'scope>(
    config: &mut watch::Receiver<Arc<Config>>,
    listeners: &mut Vec<Listener<'scope>>,
    server: &'scope Server,
    scope: &'scope Scope<'scope, '_>,
    ready: &Gate,
    shutdown: &CancellationToken,
) {
    let mut is_whole = true;
    while wait(config, is_whole, shutdown) {
        let wanted = wanted(&config.borrow_and_update());
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

/// Until there is something to do; whether there is.
fn wait(
    config: &mut watch::Receiver<Arc<Config>>,
    is_whole: bool,
    shutdown: &CancellationToken,
) -> bool {
    Handle::current().block_on(async {
        tokio::select! {
            () = shutdown.cancelled() => false,
            // An error says that nobody follows the file any more, which is the end of the process.
            changed = config.changed() => changed.is_ok() || { shutdown.cancelled().await; false },
            () = sleep(jittered(RETRY)), if !is_whole => true,
        }
    })
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

fn wanted(config: &Config) -> Vec<SocketAddr> {
    config.tftp.as_ref().map(|tftp| tftp.listen.clone()).unwrap_or_default()
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
