//! What is under way with one BMC: its connection, its session, and whether it answers at all.

use crate::{
    Error,
    breaker::{Breaker, Failure},
    endpoint::{Endpoint, Request},
    login::{self, Auth, Outcome, Session},
    message::{Refused, chain},
    root::{ROOT, Root},
    wire::{Connection, Reply, WireError},
};
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::Full;
use metal_core::redfish::{Credentials, Scheme};
use serde_json::Value;
use std::{mem, net::IpAddr, sync::Arc};
use tokio::time::Instant;

/// As many refused credentials are remembered for a BMC.
const REFUSALS: usize = 4;

/// The state of one BMC. A connection is taken out while it is used, so that a call which is
/// dropped half-way leaves none behind that is in the middle of something.
#[derive(Default)]
pub(crate) struct Line {
    pub(crate) auth: Auth,
    connection: Option<Connection>,
    /// Whose the session is.
    credentials: Option<Credentials>,
    /// A session that is not used any more; ended with the next login.
    left_over: Option<Session>,
    /// Whether a session was ever good for anything.
    sessions_work: bool,
    refused: Vec<(Credentials, Instant)>,
    root: Option<Arc<Root>>,
    breaker: Breaker,
}

/// A BMC is not asked because it did not answer before; says what was said then.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Resting(String);

/// A BMC is too busy to answer.
#[derive(Debug, thiserror::Error)]
#[error("answers with HTTP {0}")]
struct Busy(StatusCode);

/// Nobody said with which credentials to log in.
#[derive(Debug, thiserror::Error)]
#[error("no credentials are known for this BMC")]
struct Nameless;

/// A request, and how it is authenticated.
struct Letter<'a> {
    request: &'a Request,
    signature: Option<(http::HeaderName, HeaderValue)>,
}

impl Line {
    /// Sends one request, logged in. A session that has expired is replaced once.
    pub(crate) async fn exchange(
        &mut self,
        at: &Endpoint,
        request: &Request,
    ) -> Result<Reply, Error> {
        let credentials = self.admit(at)?;
        loop {
            self.log_in(at, &credentials).await?;
            let signature = self.auth.header(&credentials);
            let reply = self.send(at, Letter { request, signature }).await?;
            if reply.status != StatusCode::UNAUTHORIZED {
                if let Auth::Session { is_new, .. } = &mut self.auth {
                    (*is_new, self.sessions_work) = (false, true);
                }
                return Ok(reply);
            }
            match mem::take(&mut self.auth) {
                Auth::Session { session, is_new: false } => self.left_over = Some(session),
                // Sessions work, this one is new, and so it is about the resource.
                auth @ Auth::Session { .. } if self.sessions_work => {
                    self.auth = auth;
                    return Ok(reply);
                }
                Auth::Session { .. } => self.auth = Auth::Basic,
                Auth::Basic | Auth::Unknown => return Err(self.refuse(at, credentials)),
            }
        }
    }

    /// The service root, read now if it is not known.
    pub(crate) async fn known_root(&mut self, at: &Endpoint) -> Result<Arc<Root>, Error> {
        let credentials = self.admit(at)?;
        self.root(at, &credentials).await
    }

    /// Ends the session, if the BMC is there to hear it.
    pub(crate) async fn log_out(&mut self, at: &Endpoint) {
        let auth = mem::take(&mut self.auth);
        if let (Auth::Session { session, .. }, None) = (auth, self.breaker.rests(Instant::now())) {
            let signature = Some((login::TOKEN, session.token.clone()));
            self.end(at, session, signature).await;
        }
    }

    /// Adopts the current credentials, and refuses what need not be tried.
    fn admit(&mut self, at: &Endpoint) -> Result<Credentials, Error> {
        let current = at.credentials().clone();
        let credentials = current.ok_or_else(|| Error::Unreachable(Nameless.into()))?;
        if self.credentials.as_ref() != Some(&credentials) {
            if let Auth::Session { session, .. } = mem::take(&mut self.auth) {
                self.left_over = Some(session);
            }
            self.credentials = Some(credentials.clone());
        }
        let (counters, now) = (&at.shared.counters, Instant::now());
        let lockout = at.shared.config.limits.lockout;
        self.refused.retain(|(_, when)| now.duration_since(*when) < lockout);
        if self.refused.iter().any(|(refused, _)| *refused == credentials) {
            counters.skipped.inc();
            return Err(Error::Unauthorized);
        }
        if let Some(why) = self.breaker.rests(now) {
            counters.skipped.inc();
            return Err(Error::Unreachable(Resting(why.to_owned()).into()));
        }
        Ok(credentials)
    }

    /// Remembers refused credentials: a BMC that hears them again and again locks the account.
    fn refuse(&mut self, at: &Endpoint, credentials: Credentials) -> Error {
        at.shared.counters.refused.inc();
        self.auth = Auth::Unknown;
        if self.refused.len() == REFUSALS {
            self.refused.remove(0);
        }
        self.refused.push((credentials, Instant::now()));
        Error::Unauthorized
    }

    async fn root(&mut self, at: &Endpoint, login: &Credentials) -> Result<Arc<Root>, Error> {
        if let Some(root) = &self.root {
            return Ok(Arc::clone(root));
        }
        let request = Request::new(Method::GET, ROOT);
        let mut reply = self.send(at, Letter { request: &request, signature: None }).await?;
        if reply.status == StatusCode::UNAUTHORIZED {
            // Against the standard; whoever wants a password even here knows no session yet.
            self.auth = Auth::Basic;
            let signature = self.auth.header(login);
            reply = self.send(at, Letter { request: &request, signature }).await?;
            if reply.status == StatusCode::UNAUTHORIZED {
                return Err(self.refuse(at, login.clone()));
            }
        }
        let failed = |source| Error::Failed { action: format!("get {ROOT}"), source };
        if !reply.status.is_success() {
            return Err(failed(Refused::new(reply.status, &reply.body, &[&login.password]).into()));
        }
        let body: Value = serde_json::from_slice(&reply.body).map_err(|e| failed(e.into()))?;
        let root = Arc::new(Root::read(&body, at.target.address));
        Ok(Arc::clone(self.root.insert(root)))
    }

    /// Gets a session, unless there is one or there are none.
    async fn log_in(&mut self, at: &Endpoint, login: &Credentials) -> Result<(), Error> {
        if !matches!(self.auth, Auth::Unknown) {
            return Ok(());
        }
        let root = self.root(at, login).await?;
        let Some(sessions) = root.sessions.as_deref().filter(|_| self.is_unknown()) else {
            self.auth = Auth::Basic;
            return Ok(());
        };
        at.shared.counters.logins.inc();
        let request = Request::new(Method::POST, sessions).json(&login::request(login));
        let reply = self.send(at, Letter { request: &request, signature: None }).await?;
        match login::outcome(&reply, login, at.target.address) {
            Outcome::Session(session) => self.auth = Auth::Session { session, is_new: true },
            Outcome::Sessionless => self.auth = Auth::Basic,
            Outcome::Refused => return Err(self.refuse(at, login.clone())),
            Outcome::Failed(source) => {
                let action = format!("log in at {sessions}");
                return Err(Error::Failed { action, source: source.into() });
            }
        }
        if let Some(session) = self.left_over.take() {
            let signature = self.auth.header(login);
            self.end(at, session, signature).await;
        }
        Ok(())
    }

    fn is_unknown(&self) -> bool {
        matches!(self.auth, Auth::Unknown)
    }

    async fn end(
        &mut self,
        at: &Endpoint,
        session: Session,
        signature: Option<(http::HeaderName, HeaderValue)>,
    ) {
        let Some(uri) = session.uri else { return };
        let request = Request::new(Method::DELETE, &uri);
        if let Err(error) = self.send(at, Letter { request: &request, signature }).await {
            tracing::debug!(address = %at.target.address, error = chain(&error), "logout failed");
        }
    }

    /// Sends one request and judges what that says about the BMC.
    async fn send(&mut self, at: &Endpoint, letter: Letter<'_>) -> Result<Reply, Error> {
        at.shared.rate.turn().await;
        match self.send_once_or_twice(at, &letter).await {
            Ok(reply) if is_busy(reply.status) => {
                self.fail(at, Failure::Stuck, chain(&Busy(reply.status)));
                Ok(reply)
            }
            Ok(reply) => {
                self.breaker.succeeded();
                Ok(reply)
            }
            // Says nothing about the BMC.
            Err(WireError::Withdrawn(why)) => Err(Error::Withdrawn(why)),
            Err(error) => {
                self.fail(at, error.failure(), chain(&error));
                Err(letter.unanswered(error))
            }
        }
    }

    fn fail(&mut self, at: &Endpoint, failure: Failure, why: String) {
        at.shared.counters.unreachable.inc();
        let limits = &at.shared.config.limits;
        let rest = (limits.rest, limits.longest_rest);
        self.breaker.failed(failure, why, (Instant::now(), &at.target), rest);
        if self.breaker.rests(Instant::now()).is_some() {
            // Whatever comes back may be another firmware.
            self.root = None;
        }
    }

    /// Uses the connection that was kept. If the BMC has closed it meanwhile, makes another one,
    /// unless the request may have been carried out and must not be twice.
    async fn send_once_or_twice(
        &mut self,
        at: &Endpoint,
        letter: &Letter<'_>,
    ) -> Result<Reply, WireError> {
        let limits = &at.shared.config.limits;
        if let Some(kept) = self.connection.take().filter(|kept| kept.is_fresh(limits.idle)) {
            match self.send_on(at, kept, letter).await {
                Err(error) if error.is_unsent() => {}
                Err(error) if error.is_broken() && letter.request.method != Method::POST => {}
                done => return done,
            }
        }
        let pin = *at.pin();
        let trust = &at.shared.config.trust;
        at.shared.counters.connections.inc();
        let (fresh, seen) = Connection::open(&at.target, trust, pin, limits).await?;
        if let Some(seen) = seen {
            *at.pin() = Some(seen);
        }
        self.send_on(at, fresh, letter).await
    }

    async fn send_on(
        &mut self,
        at: &Endpoint,
        connection: Connection,
        letter: &Letter<'_>,
    ) -> Result<Reply, WireError> {
        letter.request.permit.check().map_err(WireError::Withdrawn)?;
        at.shared.counters.requests.inc();
        let limits = &at.shared.config.limits;
        let (reply, connection) = connection.exchange(letter.to_http(at), limits).await?;
        self.connection = connection.and_then(|open| open.kept(&at.shared.kept));
        Ok(reply)
    }
}

impl Letter<'_> {
    fn unanswered(&self, error: WireError) -> Error {
        if matches!(error, WireError::TooLong(_)) {
            let Request { method, path, .. } = self.request;
            return Error::Failed {
                action: format!("answer {method} {path}"),
                source: error.into(),
            };
        }
        Error::Unreachable(error.into())
    }

    fn to_http(&self, at: &Endpoint) -> http::Request<Full<bytes::Bytes>> {
        let body = Full::new(self.request.body.clone().unwrap_or_default());
        let mut request = http::Request::new(body);
        *request.method_mut() = self.request.method.clone();
        // A path was made by `path_of`, or is the root.
        *request.uri_mut() = self.request.path.parse().unwrap_or_default();
        let headers = request.headers_mut();
        headers.clone_from(&self.request.headers);
        if let Ok(host) = HeaderValue::from_str(&host(at)) {
            headers.insert(header::HOST, host);
        }
        let fixed = |text| HeaderValue::from_static(text);
        headers.insert(header::ACCEPT, fixed("application/json"));
        headers.insert(header::USER_AGENT, fixed("bloomery"));
        headers.insert("odata-version", fixed("4.0"));
        if self.request.body.is_some() {
            headers.insert(header::CONTENT_TYPE, fixed("application/json"));
        }
        headers.extend(self.signature.clone());
        request
    }
}

fn host(at: &Endpoint) -> String {
    let address = match at.target.address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    match (at.target.scheme, at.target.port) {
        (Scheme::Http, 80) | (Scheme::Https, 443) => address,
        (_, port) => format!("{address}:{port}"),
    }
}

fn is_busy(status: StatusCode) -> bool {
    matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
}
