//! Requests that a BMC refuses as if the session had expired, whichever session it is.

use crate::{Limits, transport::request::Request};
use http::Method;
use tokio::time::Instant;

/// At most this many requests are remembered.
const MOST: usize = 32;

/// Requests by method and path: what a BMC does not allow to be written may well be read. Each is
/// remembered for a time, because a BMC that is starting refuses what it grants later.
#[derive(Default)]
pub(super) struct SessionIndependentRefusals(Vec<RefusedRequest>);

struct RefusedRequest {
    method: Method,
    path: String,
    until: Instant,
}

impl RefusedRequest {
    fn is(&self, request: &Request) -> bool {
        self.method == request.method && self.path == request.path
    }
}

impl SessionIndependentRefusals {
    /// Whether this request was refused with a new session, and has not succeeded since.
    pub(super) fn contains(&self, request: &Request, now: Instant) -> bool {
        self.0.iter().any(|noted| noted.is(request) && now < noted.until)
    }

    /// It was refused with a new session. That counts for a short time at first, because the BMC may
    /// be starting, and for the lockout if the next new session is refused as well.
    pub(super) fn note(&mut self, request: &Request, now: Instant, limits: &Limits) {
        let is_again = self.remove(request);
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        let until = now + if is_again { limits.lockout } else { limits.second_try };
        let (method, path) = (request.method.clone(), request.path.clone());
        self.0.push(RefusedRequest { method, path, until });
    }

    /// It has succeeded, or is to be noted anew. Returns whether it was noted.
    pub(super) fn remove(&mut self, request: &Request) -> bool {
        let before = self.0.len();
        self.0.retain(|noted| !noted.is(request));
        self.0.len() < before
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
