//! Servers on their own threads.

use std::{error::Error, net::SocketAddr};
use tokio::{
    sync::oneshot,
    task::{JoinError, JoinHandle, spawn_blocking},
};
use tokio_util::sync::CancellationToken;

/// A running server.
#[derive(Debug)]
pub struct Running<E> {
    what: &'static str,
    thread: JoinHandle<Result<(), E>>,
}

/// A server has ended that should not.
#[derive(Debug, thiserror::Error)]
pub enum Ended<E: Error + 'static> {
    /// It has failed.
    #[error("{what} ended")]
    Failed {
        /// What it served.
        what: &'static str,
        /// The reason.
        source: E,
    },
    /// Its thread has.
    #[error("the thread of {what} ended")]
    Thread {
        /// What it served.
        what: &'static str,
        /// The reason.
        source: JoinError,
    },
}

/// Starts a server, and says at which addresses, if there is any, once its sockets are open; it has
/// them then, or has failed.
pub async fn start<E: Send + 'static>(
    what: &'static str,
    serve: impl FnOnce(oneshot::Sender<Vec<SocketAddr>>, &CancellationToken) -> Result<(), E>
    + Send
    + 'static,
    shutdown: &CancellationToken,
) -> Running<E> {
    let (opened, is_open) = oneshot::channel();
    let stop = shutdown.clone();
    let thread = spawn_blocking(move || serve(opened, &stop));
    // An error means that it ended before it opened anything, which is reported where it is
    // awaited.
    if let Some(addresses) = is_open.await.ok().filter(|addresses| !addresses.is_empty()) {
        tracing::info!(?addresses, "serving {what}");
    }
    Running { what, thread }
}

impl<E: Error + 'static> Running<E> {
    /// Waits for its end, and then shuts all others down.
    ///
    /// # Errors
    ///
    /// The reason, unless it was the shutdown.
    pub async fn ended(self, shutdown: &CancellationToken) -> Result<(), Ended<E>> {
        let _stop = shutdown.clone().drop_guard();
        let Self { what, thread } = self;
        match thread.await {
            Ok(ended) => ended.map_err(|source| Ended::Failed { what, source }),
            Err(source) => Err(Ended::Thread { what, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[tokio::test]
    async fn a_server_that_ends_says_why_and_ends_the_others() {
        let shutdown = CancellationToken::new();
        let serve = |_, _: &_| Err(io::Error::other("broken"));
        let running = start("DHCP", serve, &shutdown).await;
        let error = running.ended(&shutdown).await.unwrap_err();
        assert_eq!((error.to_string().as_str(), shutdown.is_cancelled()), ("DHCP ended", true));
    }
}
