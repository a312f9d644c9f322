//! A socket that receives requests, and the thread that reads it.

use super::{
    request::Request,
    server::Server,
    socket::{PATIENCE, Requests},
};
use metal_dhcp::tftp::MAX_REQUEST;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Builder, Scope, ScopedJoinHandle},
};

/// The thread of a socket.
#[derive(Debug)]
pub(super) struct Listener<'scope> {
    /// The address in the configuration.
    pub(super) wanted: SocketAddr,
    is_stopping: Arc<AtomicBool>,
    thread: ScopedJoinHandle<'scope, ()>,
}

impl<'scope> Listener<'scope> {
    /// Receives requests until it is closed.
    ///
    /// # Errors
    ///
    /// If no thread can be started.
    pub(super) fn start(
        wanted: SocketAddr,
        requests: Requests,
        server: &'scope Server,
        scope: &'scope Scope<'scope, '_>,
    ) -> std::io::Result<Self> {
        let is_stopping = Arc::<AtomicBool>::default();
        let stop = Arc::clone(&is_stopping);
        let run = move || listen(&requests, server, &stop);
        let thread = Builder::new().name("tftp-requests".to_owned()).spawn_scoped(scope, run)?;
        Ok(Self { wanted, is_stopping, thread })
    }

    /// Receives no more requests. Transfers in progress continue.
    pub(super) fn close(self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            tracing::error!(address = %self.wanted, "thread ended unexpectedly");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "sleeps on a thread of its own")]
fn listen(requests: &Requests, server: &Server, is_stopping: &AtomicBool) {
    let mut buffer = [0; MAX_REQUEST + 1];
    while !is_stopping.load(Ordering::Relaxed) {
        match requests.receive(&mut buffer) {
            Ok(None) => {}
            Ok(Some(arrival)) => match arrival.to {
                Some(here) => {
                    let bytes = &buffer[..arrival.len];
                    server.take_in(Request { client: arrival.from, here, bytes });
                }
                // Answering broadcasts could be used to flood somebody.
                None => server.metrics.refused("NotToUsAlone"),
            },
            Err(error) => {
                tracing::warn!(%error, "could not read requests");
                thread::sleep(PATIENCE);
            }
        }
    }
}
