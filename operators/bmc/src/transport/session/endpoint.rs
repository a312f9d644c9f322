//! The access to one BMC, shared by all its users: one request at a time.

use crate::{
    Error, Target,
    transport::{
        limits::{budget::Budget, shared::Shared},
        pin::Pin,
        request::Request,
        root::Root,
        session::{line::Line, login::Auth, peer::Peer},
        wire::{Connection, Reply},
    },
};
use std::sync::Arc;
use tokio::{sync::Mutex, time::timeout};

/// One BMC.
pub(crate) struct Endpoint {
    pub(crate) peer: Peer,
    line: Mutex<Line>,
}

impl Endpoint {
    pub(crate) fn new(target: Target, shared: Arc<Shared>) -> Self {
        Self { peer: Peer::new(target, shared), line: Mutex::default() }
    }

    /// Sends one request when its turn comes, logged in. The wait is bounded by the call's
    /// deadline; the queue holds at most as many requests as this process makes calls, and never
    /// refuses one.
    pub(crate) async fn exchange(
        &self,
        request: &Request,
        budget: &Budget<'_>,
    ) -> Result<Reply, Error> {
        self.line.lock().await.exchange(&self.peer, request, budget).await
    }

    /// The service root, as cached since the BMC was last found to be up.
    pub(crate) async fn root(&self, budget: &Budget<'_>) -> Result<Arc<Root>, Error> {
        self.line.lock().await.known_root(&self.peer, budget).await
    }

    /// The certificate that the BMC shows to a connection on which nothing is sent.
    pub(crate) async fn introduce(&self) -> Result<Option<Pin>, Error> {
        let Shared { config, rate, counters, .. } = &*self.peer.shared;
        rate.turn().await;
        counters.connections.inc();
        let trust = config.trust.of(None, self.peer.host_name().as_deref());
        match Connection::open(&self.peer.shared, &self.peer.target, &trust).await {
            Ok((_, shown)) => Ok(shown),
            Err(error) => {
                counters.unreachable.inc();
                Err(Error::Unreachable(error.into()))
            }
        }
    }

    /// Ends the session and the connection.
    pub(crate) async fn log_out(&self) {
        let log_out = async {
            let mut line = self.line.lock().await;
            line.log_out(&self.peer).await;
            *line = Line::default();
        };
        if timeout(self.peer.shared.config.limits.headers, log_out).await.is_err() {
            tracing::debug!(host = %self.peer.target.host, "logout timed out");
        }
    }

    /// Whether no session is open and no request in progress.
    pub(crate) fn is_idle(&self) -> bool {
        self.line.try_lock().is_ok_and(|line| !matches!(line.auth, Auth::Session(_)))
    }
}
