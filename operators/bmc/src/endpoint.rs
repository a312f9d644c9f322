//! The access to one BMC, shared by all its users: one request at a time.

use crate::{
    Config, Counters, Error, Permit, Target,
    budget::{Budget, Traffic},
    line::Line,
    login::Auth,
    memory::Memory,
    rate::Rate,
    redact::Secret,
    root::{ROOT, Root},
    tls::Pin,
    wire::Reply,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use metal_core::redfish::Credentials;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::{
    sync::{self, Semaphore},
    time::{Instant, timeout},
};

/// What all BMCs of a fleet share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) counters: Counters,
    pub(crate) rate: Rate,
    /// One permit per idle connection that may be kept.
    pub(crate) kept: Arc<Semaphore>,
    /// One permit per call with long answers.
    pub(crate) long_calls: Arc<Semaphore>,
    /// One permit per host name lookup.
    pub(crate) lookups: Arc<Semaphore>,
}

/// A request, without what every request has in common.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    /// Whether it creates a session.
    pub(crate) is_login: bool,
    /// Checked right before the first byte is sent.
    pub(crate) permit: Permit,
}

impl Request {
    pub(crate) fn new(method: Method, path: &str) -> Self {
        let (headers, path) = (HeaderMap::new(), path.to_owned());
        let permit = Permit::default();
        Self { method, path, headers, body: None, is_login: false, permit }
    }

    pub(crate) fn login(self) -> Self {
        Self { is_login: true, ..self }
    }

    /// Whether its response says something about the BMC as a whole.
    pub(crate) fn is_about_all(&self) -> bool {
        self.is_login || self.path == ROOT
    }

    pub(crate) fn json(mut self, body: &serde_json::Value) -> Self {
        self.body = Some(body.to_string().into());
        self
    }

    /// The same request, sent only while `permit` holds.
    pub(crate) fn permitted(&self, permit: &Permit) -> Self {
        Self { permit: permit.clone(), ..self.clone() }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

/// One BMC.
pub(crate) struct Endpoint {
    pub(crate) target: Target,
    pub(crate) shared: Arc<Shared>,
    credentials: Mutex<Option<Credentials>>,
    pin: Mutex<Option<Pin>>,
    held_back: Mutex<Option<(Credentials, Instant)>>,
    host_name: Mutex<Option<String>>,
    password: Mutex<Arc<Secret>>,
    traffic: Traffic,
    pub(crate) memory: Memory,
    line: sync::Mutex<Line>,
}

impl Endpoint {
    pub(crate) fn new(target: Target, shared: Arc<Shared>) -> Self {
        let (credentials, pin, held_back, host_name) = Default::default();
        let (password, traffic, memory, line) = Default::default();
        Self {
            target,
            shared,
            credentials,
            pin,
            held_back,
            host_name,
            password,
            traffic,
            memory,
            line,
        }
    }

    /// A budget for one call.
    pub(crate) fn budget(&self) -> Budget<'_> {
        Budget::new(&self.shared.config.limits, &self.traffic, &self.shared.long_calls)
    }

    pub(crate) fn credentials(&self) -> MutexGuard<'_, Option<Credentials>> {
        self.credentials.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current password, so that it can be removed from texts.
    pub(crate) fn password(&self) -> Arc<Secret> {
        let current = self.credentials();
        self.secret(current.as_ref().map_or("", |known| &known.password))
    }

    /// A password as something that can be removed from texts. The last one is cached.
    pub(crate) fn secret(&self, password: &str) -> Arc<Secret> {
        let mut last = self.password.lock().unwrap_or_else(PoisonError::into_inner);
        if !last.is(password) {
            *last = Arc::new(Secret::new(password));
        }
        Arc::clone(&last)
    }

    pub(crate) fn pin(&self) -> MutexGuard<'_, Option<Pin>> {
        self.pin.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The host name that its certificate may be issued for.
    pub(crate) fn host_name(&self) -> MutexGuard<'_, Option<String>> {
        self.host_name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Credentials that another process had refused, and until when they are held back.
    pub(crate) fn held_back(&self) -> MutexGuard<'_, Option<(Credentials, Instant)>> {
        self.held_back.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends one request when its turn comes, logged in. The wait is bounded by the call's
    /// deadline; the queue holds at most as many requests as this process makes calls, and never
    /// refuses one.
    pub(crate) async fn exchange(
        &self,
        request: &Request,
        budget: &Budget<'_>,
    ) -> Result<Reply, Error> {
        self.line.lock().await.exchange(self, request, budget).await
    }

    /// The service root, as cached since the BMC was last found to be up.
    pub(crate) async fn root(&self, budget: &Budget<'_>) -> Result<Arc<Root>, Error> {
        self.line.lock().await.known_root(self, budget).await
    }

    /// Ends the session and the connection.
    pub(crate) async fn log_out(&self) {
        let log_out = async {
            let mut line = self.line.lock().await;
            line.log_out(self).await;
            *line = Line::default();
        };
        if timeout(self.shared.config.limits.headers, log_out).await.is_err() {
            tracing::debug!(host = %self.target.host, "logout took too long");
        }
    }

    /// Whether no session is open and no request in progress.
    pub(crate) fn is_idle(&self) -> bool {
        self.line.try_lock().is_ok_and(|line| !matches!(line.auth, Auth::Session { .. }))
    }
}
