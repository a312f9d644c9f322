//! The report registry, to which hosts in discovery report their hardware.
//!
//! It has ironcore's API, under `/t/<token>`: the token is a segment of the URL in the ignition of
//! one boot, so that even agents that know nothing of tokens send it. Any replica can answer,
//! because reports are stored in the API server only.

mod body;
mod http;
mod store;
mod tenant;
#[cfg(test)]
mod tests;

pub(crate) use body::{Bodies, LARGEST as LARGEST_BODY};
pub(crate) use http::router;
pub(crate) use store::Stored;
pub(crate) use tenant::BootKey;

use crate::view::{View, uuid_keys};
use kube::{Client, ResourceExt, core::Status};
use metal_api::{Server, ServerState, SystemUuid};
use metal_core::{
    capability::{self, CapabilityError, Claims, Key, Purpose},
    conditions::cut,
    identity,
    report::ReportError,
    server::boot_id,
};
use metal_runtime::{Deferred, LogLimit};
use prometheus_client::metrics::{counter::Counter, family::Family};
use std::sync::Arc;

/// Longest part of a refusal of the API server that is passed on, in bytes.
const REFUSAL: usize = 1024;

/// The context of the registry.
pub(crate) struct Registry {
    /// The API server.
    pub client: Client,
    /// What is known of the cluster.
    pub view: Arc<View>,
    /// Key that issues registration tokens.
    pub key: Deferred<Key>,
    /// Key of the tokens with which tenants' hosts report that they are up.
    pub boot_key: BootKey,
    /// Whether reports without a token are accepted.
    pub tokenless: bool,
    /// Answers by status code.
    pub answers: Family<Vec<(String, String)>, Counter>,
    /// The last report of each server that this process stored.
    pub stored: Stored,
    /// The reports in progress.
    pub bodies: Bodies,
    /// Refusals in the log.
    pub told: LogLimit,
}

/// The sender of a request, as far as it is known before the body is read.
#[derive(Clone, Debug)]
enum Reporter {
    /// The server of a token.
    Known(Arc<Server>, Claims),
    /// Unknown: whoever the report says.
    Anyone,
}

/// Why a request is refused. The text is sent to the agent, and says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Denied {
    /// The lists have not arrived yet.
    #[error("not ready: waiting for the list of servers")]
    NotReady,
    /// There is no token, but one is required.
    #[error(
        "no token: post to the URL in --registry-url of this boot's ignition, or start \
         metal-operator with --registry-allow-tokenless"
    )]
    NoToken,
    /// The token is not valid.
    #[error("{0}: boot the machine again to get a new one")]
    Token(#[from] CapabilityError),
    /// The boot of the token is over.
    #[error("this token is no longer valid: server {server} is in the state {state}")]
    Over {
        /// Name of the server.
        server: String,
        /// Its state.
        state: String,
    },
    /// There is no token, and the server is not being booted.
    #[error("no token, and server {server} is not in a boot window")]
    Closed {
        /// Name of the server.
        server: String,
    },
    /// There is no such server.
    #[error("no server has this system UUID")]
    Unknown,
    /// Several servers have it.
    #[error("several servers have this system UUID: {0}")]
    Ambiguous(String),
    /// The report is malformed.
    #[error("{0}")]
    Malformed(#[from] ReportError),
    /// The body is not JSON of the right form, or contains too much.
    #[error("body: {0}")]
    Json(String),
    /// The body is too large.
    #[error("body: larger than {} bytes", LARGEST_BODY)]
    TooLarge,
    /// The body would take too much memory.
    #[error("body: takes more than {0} bytes of memory: send fewer records")]
    Heavy(usize),
    /// The body did not arrive in time.
    #[error("body: too slow")]
    Slow,
    /// The body was cut off.
    #[error("body: connection closed early")]
    Broken,
    /// Too many reports are in progress.
    #[error("too many concurrent reports: try again")]
    Busy,
    /// The requested object does not exist.
    #[error("{0} not found")]
    Missing(&'static str),
    /// The API server did not store the report.
    #[error("could not store the report: try again")]
    Store(#[source] Box<kube::Error>),
    /// The API server will not store this report, however often it is sent.
    #[error("the API server refuses the report: {0}")]
    Refused(String),
    /// The API server does not answer.
    #[error("could not store the report, because the API server is unreachable: try again")]
    Silent,
}

impl From<kube::Error> for Denied {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) if is_final(status) => {
                Self::Refused(cut(&status.message, REFUSAL).into_owned())
            }
            _ => Self::Store(Box::new(error)),
        }
    }
}

/// Whether the same request is refused the next time, too: it is malformed or not valid, or larger than what the
/// API server takes, or its database.
fn is_final(status: &Status) -> bool {
    matches!(status.code, 400 | 413 | 422) || status.message.contains("request is too large")
}

impl Registry {
    /// Who may report, judged before any part of the body is read.
    ///
    /// # Errors
    ///
    /// If nobody may.
    fn admit(&self, token: Option<&str>) -> Result<Reporter, Denied> {
        let is_ready = self.view.servers.is_ready();
        let Some(token) = token else {
            return match (self.tokenless, is_ready) {
                (false, _) => Err(Denied::NoToken),
                (true, false) => Err(Denied::NotReady),
                (true, true) => Ok(Reporter::Anyone),
            };
        };
        // Also during an outage of the API server, clients without a valid token are refused.
        let key = self.key.get().ok_or(Denied::NotReady)?;
        let now = jiff::Timestamp::now();
        let claims = capability::verify(&[key], token, Purpose::Registration, now)?;
        if !is_ready {
            return Err(Denied::NotReady);
        }
        let server = self.view.servers.named(None, &claims.server).ok_or(Denied::Unknown)?;
        Ok(Reporter::Known(server, claims))
    }

    /// The server that a reporter may report for, and the boot of the report.
    ///
    /// # Errors
    ///
    /// If that is not the server with this UUID.
    fn server_of(
        &self,
        from: Reporter,
        uuid: &str,
    ) -> Result<(Arc<Server>, Option<Claims>), Denied> {
        let reported = metal_core::report::system_uuid(uuid)?;
        let Reporter::Known(server, claims) = from else {
            return Ok((self.by_uuid(reported)?, None));
        };
        if !identity::has_uuid(&server, reported) {
            return Err(ReportError::Foreign { reported }.into());
        }
        Ok((server, Some(claims)))
    }

    /// The server of a request that is not a report. A token is valid for its own boot only;
    /// without one, the client may be anybody, so it is accepted for a server in its boot window
    /// only.
    ///
    /// # Errors
    ///
    /// If it is accepted for no server, or the boot of its token is over.
    fn speaker(&self, reporter: Reporter, uuid: &str) -> Result<Arc<Server>, Denied> {
        let (server, claims) = self.server_of(reporter, uuid)?;
        match claims {
            Some(claims) if claims.purpose == Purpose::Registration => {
                Self::boot_of(&server, Some(&claims))?;
            }
            Some(claims) => self.is_at(&server, &claims)?,
            None if !is_booting(&server) => {
                return Err(Denied::Closed { server: server.name_any() });
            }
            None => {}
        }
        Ok(server)
    }

    fn by_uuid(&self, uuid: SystemUuid) -> Result<Arc<Server>, Denied> {
        let mut servers: Vec<_> =
            uuid_keys(uuid).flat_map(|key| self.view.servers.get(&key)).collect();
        identity::keep_admitted(&mut servers, |server| server);
        match (servers.pop(), servers.is_empty()) {
            (None, _) => Err(Denied::Unknown),
            (Some(server), true) => Ok(server),
            (Some(last), false) => {
                let mut names: Vec<_> = servers.iter().map(|server| server.name_any()).collect();
                names.push(last.name_any());
                names.sort();
                Err(Denied::Ambiguous(names.join(", ")))
            }
        }
    }

    /// The boot that a report counts for: that of the current discovery attempt.
    ///
    /// # Errors
    ///
    /// If the server is not in discovery, or the token is for another attempt.
    fn boot_of(server: &Server, claims: Option<&Claims>) -> Result<String, Denied> {
        let status = server.status.as_ref();
        let state = status.and_then(|status| status.state.as_ref());
        let attempt = status.and_then(|status| status.discovery.as_ref()?.attempts);
        let attempt = attempt.and_then(|attempt| u32::try_from(attempt).ok()).unwrap_or(0);
        let boot = boot_id(server, attempt);
        let runs = state == Some(&ServerState::Discovery);
        if runs && claims.is_none_or(|claims| claims.boot == boot) {
            return Ok(boot);
        }
        Err(Denied::Over {
            server: server.name_any(),
            state: state.map_or("not discovered", ServerState::as_str).to_owned(),
        })
    }
}

/// Whether a server is in its boot window.
fn is_booting(server: &Server) -> bool {
    let window = server.status.as_ref().and_then(|status| status.boot_window.as_ref());
    window.is_some_and(|window| jiff::Timestamp::now() < window.closes.0)
}
