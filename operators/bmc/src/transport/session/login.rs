//! Sessions (DSP0266, section 13.3.4), and Basic authentication as the fallback.

use crate::{
    Target, quirks,
    transport::{
        answer::wants_new_password, field, json, message::Refused, redact::Secret, uri, wire::Reply,
    },
};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderName, HeaderValue, StatusCode, header};
use metal_core::redfish::Credentials;
use serde_json::Value;
use std::time::Duration;
use tokio::time::Instant;

pub(crate) const TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// Most memory that the response to a login may take.
const BODY: usize = 64 << 10;

/// A session on a BMC.
pub(crate) struct Session {
    pub(crate) token: HeaderValue,
    /// The resource to delete on logout. Some BMCs do not return it.
    pub(crate) uri: Option<String>,
}

/// How requests are authenticated.
#[derive(Default)]
pub(crate) enum Auth {
    /// Not decided yet.
    #[default]
    Unknown,
    /// By a session.
    Session(Session),
    /// By user name and password in every request.
    Basic {
        /// Why without a session.
        why: BasicAuthReason,
        /// Whether it has worked.
        works: bool,
        /// Since when.
        since: Instant,
    },
}

/// Why requests are authenticated without a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BasicAuthReason {
    /// The BMC offers none.
    NoSessions,
    /// All are taken; with what the BMC said.
    SessionsFull(String),
    /// None was granted for these credentials. Some firmware requires a privilege of its own for
    /// sessions.
    Refused,
    /// The session service is out of order, or refuses in a way that is not understood.
    Failed,
}

/// No session is free, and Basic authentication is disabled.
#[derive(Debug, thiserror::Error)]
#[error("{0}: delete sessions on the BMC, or reset it")]
pub(crate) struct SessionsFull(pub(crate) String);

impl Auth {
    pub(crate) fn basic(why: BasicAuthReason) -> Self {
        Self::Basic { why, works: false, since: Instant::now() }
    }

    /// Whether a request with this status was refused because Basic authentication is off. It has
    /// never worked, and a session may be had later.
    pub(crate) fn is_off(&self, status: StatusCode) -> bool {
        let may_be = match self {
            Self::Basic { why, works, .. } => !works && *why != BasicAuthReason::NoSessions,
            Self::Unknown | Self::Session(_) => false,
        };
        may_be && status == StatusCode::FORBIDDEN
    }

    /// Forgets, after this time, that all sessions were taken or that none could be had.
    pub(crate) fn expire(&mut self, now: Instant, after: Duration) {
        if let Self::Basic {
            why: BasicAuthReason::SessionsFull(_) | BasicAuthReason::Failed,
            since,
            ..
        } = self
            && now.duration_since(*since) >= after
        {
            *self = Self::Unknown;
        }
    }

    /// The header that authenticates a request.
    pub(crate) fn header(&self, credentials: &Credentials) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::Unknown => None,
            Self::Session(session) => Some((TOKEN, session.token.clone())),
            Self::Basic { .. } => {
                let Credentials { username, password } = credentials;
                let pair = BASE64_STANDARD.encode(format!("{username}:{password}"));
                let mut value = HeaderValue::from_str(&format!("Basic {pair}")).ok()?;
                value.set_sensitive(true);
                Some((header::AUTHORIZATION, value))
            }
        }
    }
}

/// The body of the request that creates a session.
pub(crate) fn request(credentials: &Credentials) -> Value {
    serde_json::json!({"UserName": credentials.username, "Password": credentials.password})
}

/// The outcome of a login.
pub(crate) enum Outcome {
    /// A session.
    Session(Session),
    /// The BMC offers no sessions: try without one.
    Sessionless(BasicAuthReason),
    /// The credentials are wrong.
    Refused,
    /// Some other failure, which says nothing about the credentials.
    Failed(Refused),
}

/// Interprets the response to a login. In every case the password may have been counted as wrong,
/// so an answer that is not understood is settled by Basic authentication, once.
pub(crate) fn outcome(reply: &Reply, password: &Secret, target: &Target) -> Outcome {
    if reply.status.is_success()
        && let Some(session) = session(reply)
    {
        return Outcome::Session(session);
    }
    let body = String::from_utf8_lossy(&reply.body);
    let refused = Refused::read(reply, target, password);
    if quirks::has_no_session_left(&body) {
        return Outcome::Sessionless(BasicAuthReason::SessionsFull(refused.to_string()));
    }
    if wants_new_password(reply) {
        return Outcome::Failed(refused);
    }
    if quirks::is_wrong_password(&body) {
        return Outcome::Refused;
    }
    if reply.status.is_success() {
        return Outcome::Sessionless(BasicAuthReason::NoSessions);
    }
    if is_busy(reply.status) {
        return Outcome::Sessionless(BasicAuthReason::SessionsFull(refused.to_string()));
    }
    if matches!(reply.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return Outcome::Sessionless(BasicAuthReason::Refused);
    }
    if refused.is_absent() {
        return Outcome::Sessionless(BasicAuthReason::NoSessions);
    }
    if reply.status.is_redirection() {
        return Outcome::Failed(refused);
    }
    tracing::warn!(host = %target.host, answer = %refused, "could not create a session");
    Outcome::Sessionless(BasicAuthReason::Failed)
}

/// Whether a BMC answers that it cannot serve anybody now.
fn is_busy(status: StatusCode) -> bool {
    let busy = [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ];
    busy.contains(&status)
}

fn session(reply: &Reply) -> Option<Session> {
    // Copied, because the header is a slice of the buffer that holds the whole response.
    let mut token = HeaderValue::from_bytes(reply.headers.get(TOKEN)?.as_bytes()).ok()?;
    if token.is_empty() {
        return None;
    }
    token.set_sensitive(true);
    let location = reply.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    let uri = location.and_then(|link| uri::resolved(link, &reply.asked)).or_else(|| {
        let body = json::value(&reply.body, BODY).ok()?;
        field::link(&body)
    });
    Some(Session { token, uri })
}
