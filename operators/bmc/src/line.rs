//! What is under way with one BMC: its connection, its session, and whether it answers at all.

use crate::{
    Error,
    breaker::{Breaker, Failure, PATIENCE},
    budget::{Budget, Excess},
    endpoint::{Endpoint, Request},
    json,
    login::{self, Auth, Full, Outcome, Session, Why},
    message::{Refused, chain},
    root::{ROOT, Root},
    uri,
    wire::{Connection, Reply, Unanswered, WireError},
};
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::Full as Whole;
use metal_core::redfish::{Credentials, Scheme};
use std::{mem, net::IpAddr, sync::Arc};
use tokio::time::Instant;

/// As many refused credentials are remembered for a BMC.
const REFUSALS: usize = 4;
/// Memory that a service root may take.
const ROOT_BYTES: usize = 512 << 10;

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
    /// When there was no session left, and no other way to log in, and what the BMC said.
    full: Option<(Instant, String)>,
    root: Option<Arc<Root>>,
    breaker: Breaker,
    /// Paths that got no answer, since the last answer.
    stuck: Vec<String>,
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
        budget: &Budget<'_>,
    ) -> Result<Reply, Error> {
        let credentials = self.admit(at, budget)?;
        loop {
            self.log_in(at, &credentials, budget).await?;
            let signature = self.auth.header(&credentials);
            let reply = self.send(at, Letter { request, signature }, budget).await?;
            if reply.status != StatusCode::UNAUTHORIZED {
                self.accepted();
                return Ok(reply);
            }
            match mem::take(&mut self.auth) {
                Auth::Session { session, is_new: false } => self.left_over = Some(session),
                // Sessions work, this one is new, and so it is about the resource.
                auth @ Auth::Session { .. } if self.sessions_work => {
                    self.auth = auth;
                    return Ok(reply);
                }
                Auth::Session { .. } => self.auth = Auth::basic(Why::NoSessions),
                auth @ Auth::Basic { works: true, .. } => {
                    self.auth = auth;
                    if self.is_welcome(at, &credentials, request, budget).await? {
                        return Ok(reply);
                    }
                    return Err(self.refuse(at, credentials));
                }
                Auth::Basic { why: Why::SessionsFull(said), .. } => {
                    self.full = Some((Instant::now(), said.clone()));
                    return Err(Error::SessionsFull(Full(said).into()));
                }
                Auth::Basic { .. } | Auth::Unknown => return Err(self.refuse(at, credentials)),
            }
        }
    }

    /// The service root, read now if it is not known.
    pub(crate) async fn known_root(
        &mut self,
        at: &Endpoint,
        budget: &Budget<'_>,
    ) -> Result<Arc<Root>, Error> {
        let credentials = self.admit(at, budget)?;
        self.root(at, &credentials, budget).await
    }

    /// The way of logging in has worked.
    fn accepted(&mut self) {
        match &mut self.auth {
            Auth::Session { is_new, .. } => (*is_new, self.sessions_work) = (false, true),
            Auth::Basic { works, .. } => *works = true,
            Auth::Unknown => {}
        }
    }

    /// Whether credentials that have worked, and were refused by one resource, still do.
    async fn is_welcome(
        &mut self,
        at: &Endpoint,
        credentials: &Credentials,
        refused: &Request,
        budget: &Budget<'_>,
    ) -> Result<bool, Error> {
        let root = self.root(at, credentials, budget).await?;
        if root.systems == refused.path {
            return Ok(false);
        }
        let request = Request::new(Method::GET, &root.systems);
        let signature = self.auth.header(credentials);
        let reply = self.send(at, Letter { request: &request, signature }, budget).await?;
        Ok(reply.status != StatusCode::UNAUTHORIZED)
    }

    /// Ends the session, if the BMC is there to hear it.
    pub(crate) async fn log_out(&mut self, at: &Endpoint) {
        let auth = mem::take(&mut self.auth);
        if let (Auth::Session { session, .. }, None) = (auth, self.breaker.rests(Instant::now())) {
            let signature = Some((login::TOKEN, session.token.clone()));
            self.end(at, session, signature, &at.budget()).await;
        }
    }

    /// Adopts the current credentials, and refuses what need not be tried.
    fn admit(&mut self, at: &Endpoint, budget: &Budget<'_>) -> Result<Credentials, Error> {
        let current = at.credentials().clone();
        let credentials = current.ok_or_else(|| Error::Unreachable(Nameless.into()))?;
        if self.credentials.as_ref() != Some(&credentials) {
            if let Auth::Session { session, .. } = mem::take(&mut self.auth) {
                self.left_over = Some(session);
            }
            self.credentials = Some(credentials.clone());
            self.full = None;
        }
        let (counters, now) = (&at.shared.counters, Instant::now());
        let lockout = at.shared.config.limits.lockout;
        self.refused.retain(|(_, when)| now.duration_since(*when) < lockout);
        if self.refused.iter().any(|(refused, _)| *refused == credentials) {
            counters.skipped.inc();
            return Err(Error::Unauthorized);
        }
        let is_fresh = |(when, _): &&(Instant, String)| {
            now.duration_since(*when) < at.shared.config.limits.sessions_full
        };
        if let Some((_, said)) = self.full.as_ref().filter(is_fresh) {
            counters.skipped.inc();
            return Err(Error::SessionsFull(Full(said.clone()).into()));
        }
        if let Some(why) = self.breaker.rests(now) {
            counters.skipped.inc();
            return Err(Error::Unreachable(Resting(why.to_owned()).into()));
        }
        budget.admit().map_err(|excess| {
            counters.skipped.inc();
            misbehaving("answer".to_owned(), excess)
        })?;
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

    async fn root(
        &mut self,
        at: &Endpoint,
        login: &Credentials,
        budget: &Budget<'_>,
    ) -> Result<Arc<Root>, Error> {
        if let Some(root) = &self.root {
            return Ok(Arc::clone(root));
        }
        let request = Request::new(Method::GET, ROOT);
        let mut reply =
            self.send(at, Letter { request: &request, signature: None }, budget).await?;
        if reply.status == StatusCode::UNAUTHORIZED {
            // Against the standard; whoever wants a password even here knows no session yet.
            self.auth = Auth::basic(Why::NoSessions);
            let signature = self.auth.header(login);
            reply = self.send(at, Letter { request: &request, signature }, budget).await?;
            if reply.status == StatusCode::UNAUTHORIZED {
                return Err(self.refuse(at, login.clone()));
            }
        }
        let failed = |source| Error::Failed { action: format!("get {ROOT}"), source };
        if !reply.status.is_success() {
            return Err(failed(Refused::new(reply.status, &reply.body, &[&login.password]).into()));
        }
        let body = json::value(&reply.body, ROOT_BYTES).map_err(|e| failed(e.into()))?;
        let root = Arc::new(Root::read(&body, at.target.address));
        Ok(Arc::clone(self.root.insert(root)))
    }

    /// Gets a session, unless there is one or there are none.
    async fn log_in(
        &mut self,
        at: &Endpoint,
        login: &Credentials,
        budget: &Budget<'_>,
    ) -> Result<(), Error> {
        self.auth.expire(Instant::now(), at.shared.config.limits.lockout);
        if !self.is_unknown() {
            return Ok(());
        }
        let root = self.root(at, login, budget).await?;
        let Some(sessions) = root.sessions.as_deref().filter(|_| self.is_unknown()) else {
            self.auth = Auth::basic(Why::NoSessions);
            return Ok(());
        };
        at.shared.counters.logins.inc();
        let request = Request::new(Method::POST, sessions).json(&login::request(login)).login();
        let reply = self.send(at, Letter { request: &request, signature: None }, budget).await?;
        match login::outcome(&reply, login, at.target.address) {
            Outcome::Session(session) => self.auth = Auth::Session { session, is_new: true },
            Outcome::Sessionless(why) => self.auth = Auth::basic(why),
            Outcome::Refused => return Err(self.refuse(at, login.clone())),
            Outcome::Failed(source) => {
                let action = format!("log in at {sessions}");
                return Err(Error::Failed { action, source: source.into() });
            }
        }
        if let Some(session) = self.left_over.take() {
            let signature = self.auth.header(login);
            self.end(at, session, signature, budget).await;
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
        budget: &Budget<'_>,
    ) {
        let Some(uri) = session.uri else { return };
        let request = Request::new(Method::DELETE, &uri);
        if let Err(error) = self.send(at, Letter { request: &request, signature }, budget).await {
            tracing::debug!(address = %at.target.address, error = chain(&error), "logout failed");
        }
    }

    /// Sends one request. Where the BMC has the resource with or without a slash at its end, asks
    /// there, once.
    async fn send(
        &mut self,
        at: &Endpoint,
        letter: Letter<'_>,
        budget: &Budget<'_>,
    ) -> Result<Reply, Error> {
        let reply = self.send_here(at, &letter, budget).await?;
        let Some(path) = moved(&reply, letter.request, at) else { return Ok(reply) };
        let request = Request { path, ..letter.request.clone() };
        self.send_here(at, &Letter { request: &request, ..letter }, budget).await
    }

    /// Sends one request and judges what that says about the BMC. An answer of a part says nothing
    /// about the others, whatever it is.
    async fn send_here(
        &mut self,
        at: &Endpoint,
        letter: &Letter<'_>,
        budget: &Budget<'_>,
    ) -> Result<Reply, Error> {
        at.shared.rate.turn().await;
        match self.send_once_or_twice(at, letter, budget).await {
            Ok(reply) if is_busy(reply.status) && letter.request.is_about_all() => {
                self.fail(at, Failure::Stuck, chain(&Busy(reply.status)));
                Ok(reply)
            }
            Ok(reply) => {
                self.stuck.clear();
                self.breaker.succeeded();
                Ok(reply)
            }
            // Says nothing about the BMC.
            Err(WireError::Withdrawn(why)) => Err(Error::Withdrawn(why)),
            Err(WireError::Excess(excess)) => {
                at.shared.counters.unreachable.inc();
                let Request { method, path, .. } = letter.request;
                let method = method.as_str().to_ascii_lowercase();
                Err(misbehaving(format!("{method} {path}"), excess))
            }
            Err(error) => {
                let failure = error.failure();
                if failure == Failure::Stuck && self.is_part(at, &letter.request.path, budget).await
                {
                    at.shared.counters.unreachable.inc();
                    self.breaker.succeeded();
                } else {
                    self.fail(at, failure, chain(&error));
                }
                if failure == Failure::Dead {
                    return Err(Error::Unreachable(error.into()));
                }
                let Request { method, path, .. } = letter.request;
                let request = format!("{method} {path}");
                Err(Error::Unreachable(Unanswered { request, error }.into()))
            }
        }
    }

    /// Whether only parts of a BMC get no answer: after several in a row, the service root tells.
    /// One that is asked in vain again and again is left alone with its BMC.
    async fn is_part(&mut self, at: &Endpoint, path: &str, budget: &Budget<'_>) -> bool {
        self.stuck.push(path.to_owned());
        if self.stuck.len() < PATIENCE {
            return false;
        }
        let stuck = mem::take(&mut self.stuck);
        if stuck.iter().all(|other| other == path) {
            return false;
        }
        at.shared.rate.turn().await;
        let request = Request::new(Method::GET, ROOT);
        let letter = Letter { request: &request, signature: None };
        let reply = self.send_once_or_twice(at, &letter, budget).await;
        reply.is_ok_and(|reply| !is_busy(reply.status))
    }

    fn fail(&mut self, at: &Endpoint, failure: Failure, why: String) {
        at.shared.counters.unreachable.inc();
        let limits = &at.shared.config.limits;
        let rest = (limits.rest, limits.longest_rest);
        self.breaker.failed(failure, why, (Instant::now(), &at.target), rest);
        if self.breaker.rests(Instant::now()).is_some() {
            // Whatever comes back may be another firmware.
            self.root = None;
            at.memory.forget();
        }
    }

    /// Uses the connection that was kept. If the BMC has closed it meanwhile, makes another one,
    /// unless the request may have been carried out and must not be twice.
    async fn send_once_or_twice(
        &mut self,
        at: &Endpoint,
        letter: &Letter<'_>,
        budget: &Budget<'_>,
    ) -> Result<Reply, WireError> {
        let limits = &at.shared.config.limits;
        if let Some(kept) = self.connection.take().filter(|kept| kept.is_fresh(limits.idle)) {
            match self.send_on(at, kept, letter, budget).await {
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
        self.send_on(at, fresh, letter, budget).await
    }

    async fn send_on(
        &mut self,
        at: &Endpoint,
        connection: Connection,
        letter: &Letter<'_>,
        budget: &Budget<'_>,
    ) -> Result<Reply, WireError> {
        letter.request.permit.check().map_err(WireError::Withdrawn)?;
        at.shared.counters.requests.inc();
        let limits = &at.shared.config.limits;
        let (mut reply, connection) =
            connection.exchange(letter.to_http(at), limits, budget).await?;
        self.connection = connection.and_then(|open| open.kept(&at.shared.kept));
        match reply.broken.take() {
            // What was asked for is in the body. In the answer to a login, it is not.
            Some(error) if reply.status.is_success() && !letter.request.is_login => Err(error),
            Some(_) => Ok(Reply { body: bytes::Bytes::new(), ..reply }),
            None => Ok(reply),
        }
    }
}

impl Letter<'_> {
    fn to_http(&self, at: &Endpoint) -> http::Request<Whole<bytes::Bytes>> {
        let body = Whole::new(self.request.body.clone().unwrap_or_default());
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
        headers.insert(header::ACCEPT_ENCODING, fixed("identity"));
        headers.insert(header::USER_AGENT, fixed("bloomery"));
        headers.insert("odata-version", fixed("4.0"));
        if self.request.body.is_some() {
            headers.insert(header::CONTENT_TYPE, fixed("application/json"));
        }
        headers.extend(self.signature.clone());
        request
    }
}

pub(crate) fn misbehaving(action: String, excess: Excess) -> Error {
    if excess == Excess::Crowded {
        return Error::Unreachable(excess.into());
    }
    Error::Misbehaving { action, source: excess.into() }
}

/// Where the same resource is, if the BMC says that it is at the same path of the same server with
/// or without a slash at its end. No other redirect is followed: a password could follow it.
fn moved(reply: &Reply, request: &Request, at: &Endpoint) -> Option<String> {
    let keeps_method =
        matches!(reply.status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    let may_keep = matches!(reply.status, StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND);
    // Whether a write was carried out is not to be guessed; a login may be repeated.
    if !keeps_method && !(may_keep && (request.method == Method::GET || request.is_login)) {
        return None;
    }
    let location = reply.headers.get(header::LOCATION)?.to_str().ok()?;
    let path = uri::path_on(location, &at.target)?;
    let same = |path: &str| path.trim_end_matches('/').to_owned();
    (path != request.path && same(&path) == same(&request.path)).then_some(path)
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
