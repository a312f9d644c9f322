//! The state of the exchange with one BMC: connection, session, and whether the BMC answers at all.

mod session_independent;
mod transmit;

use crate::{
    Error,
    transport::{
        answer, json,
        limits::{
            breaker::Breaker,
            budget::{Budget, misbehaving},
            refusals::{LONGER, Refusals, Verdict},
        },
        message::{Refused, is_error},
        pin::Pin,
        redact::Secret,
        request::{AuthenticatedRequest, Request},
        root::{ROOT, Root},
        session::{
            login::{self, Auth, BasicAuthReason, Outcome, Session, SessionsFull},
            peer::Peer,
        },
        wire::{Connection, Reply},
    },
};
use http::{HeaderValue, Method, StatusCode};
use metal_base::Chain;
use metal_core::redfish::Credentials;
use session_independent::SessionIndependentRefusals;
use std::{mem, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Most memory that a service root may take.
const ROOT_BYTES: usize = 512 << 10;

/// The state of one BMC. A connection is taken out while it is in use, so that a call which is
/// dropped half-way does not leave a connection behind in the middle of an exchange.
#[derive(Default)]
pub(crate) struct Line {
    pub(crate) auth: Auth,
    pub(crate) connection: Option<Connection>,
    /// The certificate, and the host name, by which the BMC has shown on it who it is.
    shown: (Option<Pin>, Option<String>),
    /// The credentials of the session.
    credentials: Option<Credentials>,
    /// A session that is no longer used; deleted at the next login.
    left_over: Option<Session>,
    /// Whether any session has ever worked.
    sessions_work: bool,
    pub(crate) refusals: Refusals,
    unwelcoming: SessionIndependentRefusals,
    /// Until when nobody logs in, because no session was free and there was no other way, and what
    /// the BMC said.
    full: Option<(Instant, String)>,
    /// Whether Basic authentication was refused without a refused login, and nothing has worked since.
    is_in_doubt: bool,
    pub(crate) root: Option<Arc<Root>>,
    pub(crate) breaker: Breaker,
    /// Paths that got no answer since the last answer.
    pub(crate) stuck: Vec<String>,
}

/// The BMC is not asked, because it did not answer before; with the reason of that time.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BackingOff(String);

/// The BMC refuses credentials that it accepted before.
#[derive(Debug, thiserror::Error)]
#[error("it rejected credentials that it accepted before; they are retried within {0:?}")]
struct Unexpected(Duration);

/// The BMC refuses a new password of a user that it accepted.
#[derive(Debug, thiserror::Error)]
#[error("it rejected the new password, and may not have it yet; it is retried within {0:?}")]
struct NotYet(Duration);

/// No credentials were given.
#[derive(Debug, thiserror::Error)]
#[error("no credentials are known for this BMC")]
struct NoCredentials;

impl Line {
    /// Sends one request, logged in. An expired session is replaced once.
    pub(crate) async fn exchange(
        &mut self,
        at: &Peer,
        request: &Request,
        budget: &Budget<'_>,
    ) -> Result<Reply, Error> {
        let credentials = self.admit(at, budget)?;
        let mut is_renewed = false;
        loop {
            is_renewed |= self.log_in(at, &credentials, budget).await?;
            let signature = self.auth.header(&credentials);
            let sent = AuthenticatedRequest { request, signature };
            let reply = self.send(at, sent, budget).await?;
            let is_unauthorized = reply.status == StatusCode::UNAUTHORIZED
                || self.auth.is_off(reply.status) && !answer::wants_new_password(&reply);
            let is_of_session = matches!(self.auth, Auth::Session(_))
                && answer::may_be_of_session(&reply, request, &at.target);
            if !is_unauthorized && !is_of_session {
                self.accepted(&credentials, request, reply.status);
                return Ok(reply);
            }
            let answered = (request, is_unauthorized, is_renewed);
            if self.is_of_resource(at, &credentials, answered, budget).await? {
                return Ok(reply);
            }
        }
    }

    /// Whether a refusal is about the resource, rather than about how we log in. In the latter case
    /// the way of logging in has been changed, or the error says why it cannot be.
    async fn is_of_resource(
        &mut self,
        at: &Peer,
        credentials: &Credentials,
        (request, is_unauthorized, is_renewed): (&Request, bool, bool),
        budget: &Budget<'_>,
    ) -> Result<bool, Error> {
        match mem::take(&mut self.auth) {
            // The session may be over, also one that has never worked: a BMC that is starting may
            // forget the sessions that it has just granted.
            Auth::Session(session)
                if self.sessions_work && !is_renewed && !self.is_unwelcoming(request) =>
            {
                self.left_over = Some(session);
                Ok(false)
            }
            // Sessions work, so the refusal is about the resource.
            auth @ Auth::Session(_) if self.sessions_work || !is_unauthorized => {
                self.auth = auth;
                if is_renewed {
                    self.unwelcoming.note(request, Instant::now(), &at.shared.config.limits);
                }
                Ok(true)
            }
            Auth::Session(_) => {
                self.auth = Auth::basic(BasicAuthReason::NoSessions);
                Ok(false)
            }
            auth @ Auth::Basic { works: true, .. } => {
                self.auth = auth;
                if self.is_welcome(at, credentials, request, budget).await? {
                    return Ok(true);
                }
                Err(self.refuse(at, credentials.clone()))
            }
            Auth::Basic { why, .. } => Err(self.refuse_basic(at, credentials, why)),
            Auth::Unknown => Err(self.refuse(at, credentials.clone())),
        }
    }

    /// Whether this request is known to be answered as if the session had expired.
    fn is_unwelcoming(&self, request: &Request) -> bool {
        self.unwelcoming.contains(request, Instant::now())
    }

    /// The service root, read now if it is not known.
    pub(crate) async fn known_root(
        &mut self,
        at: &Peer,
        budget: &Budget<'_>,
    ) -> Result<Arc<Root>, Error> {
        let credentials = self.admit(at, budget)?;
        self.root(at, &credentials, budget).await
    }

    /// Records that the way of logging in has worked. Only success shows that: a BMC that is busy or
    /// starting refuses before it looks at who asks.
    fn accepted(&mut self, credentials: &Credentials, request: &Request, status: StatusCode) {
        if !status.is_success() {
            return;
        }
        self.unwelcoming.remove(request);
        let by_session = matches!(self.auth, Auth::Session(_));
        self.refusals.worked(credentials, by_session);
        self.is_in_doubt = false;
        match &mut self.auth {
            Auth::Session(_) => self.sessions_work = true,
            Auth::Basic { works, .. } => *works = true,
            Auth::Unknown => {}
        }
    }

    /// Whether credentials that worked before, and were refused by one resource, are still valid.
    async fn is_welcome(
        &mut self,
        at: &Peer,
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
        let reply =
            self.send(at, AuthenticatedRequest { request: &request, signature }, budget).await?;
        Ok(reply.status != StatusCode::UNAUTHORIZED)
    }

    /// Deletes the session, if the BMC is up.
    pub(crate) async fn log_out(&mut self, at: &Peer) {
        let auth = mem::take(&mut self.auth);
        if let (Auth::Session(session), None) = (auth, self.breaker.rests(Instant::now())) {
            let signature = Some((login::TOKEN, session.token.clone()));
            self.end(at, session, signature, &at.budget()).await;
        }
    }

    /// Adopts the current credentials. Fails if there is no need to try them.
    fn admit(&mut self, at: &Peer, budget: &Budget<'_>) -> Result<Credentials, Error> {
        let current = at.credentials().clone();
        let credentials = current.ok_or_else(|| Error::Unreachable(NoCredentials.into()))?;
        if self.credentials.as_ref() != Some(&credentials) {
            if let Auth::Session(session) = mem::take(&mut self.auth) {
                self.left_over = Some(session);
            }
            self.credentials = Some(credentials.clone());
            (self.full, self.is_in_doubt) = (None, false);
            self.unwelcoming.clear();
        }
        let (counters, now) = (&at.shared.counters, Instant::now());
        if let Some((held_back, until)) = at.held_back().take() {
            self.refusals.remember(held_back, until);
        }
        if let Some(verdict) = self.refusals.verdict(&credentials, now) {
            counters.skipped.inc();
            return Err(refused(at, verdict));
        }
        if let Some((_, said)) = self.full.as_ref().filter(|(until, _)| now < *until) {
            counters.skipped.inc();
            return Err(Error::SessionsFull(SessionsFull(said.clone()).into()));
        }
        if let Some(why) = self.breaker.rests(now) {
            counters.skipped.inc();
            return Err(Error::Unreachable(BackingOff(why.to_owned()).into()));
        }
        budget.admit().map_err(|excess| {
            counters.skipped.inc();
            misbehaving("answer".to_owned(), excess)
        })?;
        Ok(credentials)
    }

    /// What it means that Basic authentication is refused. The credentials are wrong if a login was
    /// refused as well; otherwise it may be off, and no session was to be had because the BMC is busy,
    /// or its services are starting. If it says neither, that counts once, since each try may count as
    /// a wrong password.
    fn refuse_basic(&mut self, at: &Peer, login: &Credentials, why: BasicAuthReason) -> Error {
        let limits = &at.shared.config.limits;
        let (said, wait) = match why {
            BasicAuthReason::SessionsFull(said) => (said, limits.sessions_full),
            BasicAuthReason::NoSessions | BasicAuthReason::Failed if !self.is_in_doubt => {
                self.is_in_doubt = true;
                ("it grants no session, and may be starting".to_owned(), limits.second_try)
            }
            BasicAuthReason::NoSessions | BasicAuthReason::Failed | BasicAuthReason::Refused => {
                return self.refuse(at, login.clone());
            }
        };
        (self.auth, self.root) = (Auth::Unknown, None);
        self.full = Some((Instant::now() + wait, said.clone()));
        Error::SessionsFull(SessionsFull(said).into())
    }

    /// Remembers refused credentials. Where sessions are is read again: the BMC may be starting.
    fn refuse(&mut self, at: &Peer, credentials: Credentials) -> Error {
        at.shared.counters.refused.inc();
        (self.auth, self.root) = (Auth::Unknown, None);
        let limits = &at.shared.config.limits;
        let verdict = self.refusals.refuse(credentials, Instant::now(), limits);
        refused(at, verdict)
    }

    async fn root(
        &mut self,
        at: &Peer,
        login: &Credentials,
        budget: &Budget<'_>,
    ) -> Result<Arc<Root>, Error> {
        let (partly, auth) = (at.shared.config.limits.lockout, &self.auth);
        let counts = |root: &&Arc<Root>| matches!(auth, Auth::Session(_)) || root.counts(partly);
        if let Some(root) = self.root.as_ref().filter(counts) {
            return Ok(Arc::clone(root));
        }
        let request = Request::new(Method::GET, ROOT);
        let mut reply = self
            .send(at, AuthenticatedRequest { request: &request, signature: None }, budget)
            .await?;
        let wants_login = |reply: &Reply| {
            matches!(reply.status.as_u16(), 401 | 403) && !answer::wants_new_password(reply)
        };
        if wants_login(&reply) {
            // Against the standard. A BMC that requires a password even here has no sessions yet.
            self.auth = Auth::basic(BasicAuthReason::NoSessions);
            let signature = self.auth.header(login);
            reply = self
                .send(at, AuthenticatedRequest { request: &request, signature }, budget)
                .await?;
            if wants_login(&reply) {
                return Err(self.refuse_basic(at, login, BasicAuthReason::NoSessions));
            }
        }
        let failed = |source| Error::Failed { action: format!("get {ROOT}"), source };
        let secret = Secret::new(&login.password);
        if !reply.status.is_success() {
            return Err(failed(Refused::read(&reply, &at.target, &secret).into()));
        }
        let body = json::value(&reply.body, ROOT_BYTES).map_err(|e| failed(e.into()))?;
        if is_error(&body) {
            return Err(failed(Refused::read(&reply, &at.target, &secret).into()));
        }
        let root = Arc::new(Root::read(&body));
        Ok(Arc::clone(self.root.insert(root)))
    }

    /// Creates a session, unless there is one or the BMC offers none. Returns whether it did.
    async fn log_in(
        &mut self,
        at: &Peer,
        login: &Credentials,
        budget: &Budget<'_>,
    ) -> Result<bool, Error> {
        self.auth.expire(Instant::now(), at.shared.config.limits.lockout);
        if !self.is_unknown() {
            return Ok(false);
        }
        let root = self.root(at, login, budget).await?;
        let Some(sessions) = root.sessions.as_deref().filter(|_| self.is_unknown()) else {
            self.auth = Auth::basic(BasicAuthReason::NoSessions);
            return Ok(false);
        };
        at.shared.counters.logins.inc();
        let request = Request::new(Method::POST, sessions).json(&login::request(login)).login();
        let reply = self
            .send(at, AuthenticatedRequest { request: &request, signature: None }, budget)
            .await?;
        match login::outcome(&reply, &Secret::new(&login.password), &at.target) {
            Outcome::Session(session) => self.auth = Auth::Session(session),
            // The user had a session before, so trying the password again would show nothing new.
            Outcome::Sessionless(BasicAuthReason::Refused)
                if self.refusals.has_had_session(login) =>
            {
                return Err(self.refuse(at, login.clone()));
            }
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
        Ok(matches!(self.auth, Auth::Session(_)))
    }

    fn is_unknown(&self) -> bool {
        matches!(self.auth, Auth::Unknown)
    }

    async fn end(
        &mut self,
        at: &Peer,
        session: Session,
        signature: Option<(http::HeaderName, HeaderValue)>,
        budget: &Budget<'_>,
    ) {
        let Some(uri) = session.uri else { return };
        let request = Request::new(Method::DELETE, &uri);
        if let Err(error) =
            self.send(at, AuthenticatedRequest { request: &request, signature }, budget).await
        {
            tracing::debug!(host = %at.target.host, error = %Chain(&error), "logout failed");
        }
    }
}

fn refused(at: &Peer, verdict: Verdict) -> Error {
    let second_try = at.shared.config.limits.second_try;
    match verdict {
        Verdict::Wrong => Error::Unauthorized,
        Verdict::Unexpected => Error::Unreachable(Unexpected(second_try).into()),
        Verdict::NotYet => Error::Unreachable(NotYet(second_try * LONGER).into()),
    }
}
