//! Sessions (DSP0266, section 13.3.4), and Basic authentication where there are none.

use crate::{field, message::Refused, quirks, uri, wire::Reply};
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderName, HeaderValue, StatusCode, header};
use metal_core::redfish::Credentials;
use serde_json::{Value, json};
use std::net::IpAddr;

pub(crate) const TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// A session on a BMC.
pub(crate) struct Session {
    pub(crate) token: HeaderValue,
    /// What is deleted to log out. Some BMCs do not tell.
    pub(crate) uri: Option<String>,
}

/// How requests are authenticated.
#[derive(Default)]
pub(crate) enum Auth {
    /// Not yet.
    #[default]
    Unknown,
    /// By a session, which has worked or not yet been used.
    Session { session: Session, is_new: bool },
    /// By user name and password in every request.
    Basic,
}

impl Auth {
    /// The header of a request.
    pub(crate) fn header(&self, credentials: &Credentials) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::Unknown => None,
            Self::Session { session, .. } => Some((TOKEN, session.token.clone())),
            Self::Basic => {
                let Credentials { username, password } = credentials;
                let pair = BASE64_STANDARD.encode(format!("{username}:{password}"));
                let mut value = HeaderValue::from_str(&format!("Basic {pair}")).ok()?;
                value.set_sensitive(true);
                Some((header::AUTHORIZATION, value))
            }
        }
    }
}

/// What asks for a session.
pub(crate) fn request(credentials: &Credentials) -> Value {
    json!({"UserName": credentials.username, "Password": credentials.password})
}

/// What came of it.
pub(crate) enum Outcome {
    /// A session.
    Session(Session),
    /// There are no sessions, or none left: try without.
    Sessionless,
    /// The credentials are wrong.
    Refused,
    /// Something else went wrong.
    Failed(Refused),
}

/// Reads the answer to a login.
pub(crate) fn outcome(reply: &Reply, credentials: &Credentials, address: IpAddr) -> Outcome {
    if reply.status.is_success() {
        return session(reply, address).map_or(Outcome::Sessionless, Outcome::Session);
    }
    if matches!(reply.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return Outcome::Refused;
    }
    let body = String::from_utf8_lossy(&reply.body);
    if quirks::is_wrong_password(&body) {
        return Outcome::Refused;
    }
    let refused = Refused::new(reply.status, &reply.body, &[&credentials.password]);
    if refused.is_absent() || quirks::has_no_session_left(&body) {
        return Outcome::Sessionless;
    }
    Outcome::Failed(refused)
}

fn session(reply: &Reply, address: IpAddr) -> Option<Session> {
    // A copy: the header is a piece of the buffer that the whole response was read into.
    let mut token = HeaderValue::from_bytes(reply.headers.get(TOKEN)?.as_bytes()).ok()?;
    if token.is_empty() {
        return None;
    }
    token.set_sensitive(true);
    let location = reply.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    let uri = location.and_then(|link| uri::path_of(link, address)).or_else(|| {
        let body: Value = serde_json::from_slice(&reply.body).ok()?;
        field::link(&body, address)
    });
    Some(Session { token, uri })
}
