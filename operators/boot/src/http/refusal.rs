//! Responses to refused requests: the only place where a refusal becomes a status code.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use metal_api::SystemUuid;
use metal_base::{Locked, cut};
use metal_core::boot::Refusal;
use metal_image::store::Error;
use metal_runtime::report::Chain;
use std::{collections::HashMap, sync::Mutex, time::Duration};
use tokio::time::Instant;

/// When a machine should retry, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// The response, in ironcore's format.
pub(super) fn refused(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status());
    let mut response =
        plain(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &refusal.to_string());
    if refusal.is_temporary() {
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    response
}

/// A text of one line.
pub(super) fn plain(status: StatusCode, text: &str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, format!("{text}\n")).into_response()
}

/// Logs details that are not revealed to a stranger.
pub(super) fn log(told: &RefusalLog, endpoint: &'static str, refusal: &Refusal) {
    match refusal {
        Refusal::Ambiguous { names } => {
            if let Some(suppressed) = told.again(&names.join(" "), refusal.reason()) {
                tracing::warn!(
                    endpoint,
                    ?names,
                    suppressed,
                    "several objects claim the identity of one machine"
                );
            }
        }
        Refusal::Unusable { why } => {
            if let Some(suppressed) = told.again(why, refusal.reason()) {
                tracing::warn!(endpoint, why, suppressed, "invalid boot config");
            }
        }
        Refusal::NotYet { server } => {
            if let Some(suppressed) = told.again(server, refusal.reason()) {
                tracing::info!(
                    endpoint,
                    server,
                    suppressed,
                    "a server was powered on to boot what is not ready"
                );
            }
        }
        Refusal::Closed { server } => {
            if let Some(suppressed) = told.again(server, refusal.reason()) {
                tracing::info!(
                    endpoint,
                    server,
                    suppressed,
                    "refused a request outside of the boot window"
                );
            }
        }
        Refusal::Elsewhere { server, from, leased, .. } => {
            if let Some(suppressed) = told.again(server, refusal.reason()) {
                tracing::warn!(
                    endpoint,
                    server,
                    ?from,
                    ?leased,
                    suppressed,
                    "refused a request from an address that netboot has not leased to this \
                     machine; if it was the machine, set --machine-addresses=any"
                );
            }
        }
        _ => tracing::debug!(endpoint, reason = refusal.reason(), "refused"),
    }
}

/// Logs why there is no content, for the same image layer from time to time only.
pub(super) fn log_unavailable(told: &RefusalLog, endpoint: &'static str, error: &Error) {
    let why = Chain(error).to_string();
    if let Some(suppressed) = told.again(&why, "Unavailable") {
        tracing::warn!(endpoint, error = why, suppressed, "could not serve an image layer");
    }
}

/// Logs that a server asks by a UUID that is not its own.
pub(super) fn log_unknown(
    told: &RefusalLog,
    endpoint: &'static str,
    server: &str,
    uuid: Option<SystemUuid>,
) {
    if let Some(suppressed) = told.again(server, Refusal::Unknown.reason()) {
        let uuid = uuid.map(|uuid| uuid.to_string());
        tracing::info!(
            endpoint,
            server,
            uuid,
            suppressed,
            "a server asked by a UUID that no boot config has; if its firmware reports another UUID \
             than its BMC, let netboot name the URL of its script"
        );
    }
}

/// After what time the same refusal is logged again for a server.
const AGAIN: Duration = Duration::from_secs(10);
/// For how many servers this is remembered.
const REMEMBERED: usize = 4096;
/// How many bytes of what it is about are compared.
const LONGEST: usize = 256;

/// What was logged recently, as strangers may ask as often as they like.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog(Mutex<HashMap<RefusalKey, LastLogged>>);

/// A server, or what else it is about, and a reason.
type RefusalKey = (String, &'static str);

/// When it was logged last, and how many times it was suppressed since.
type LastLogged = (Instant, u32);

impl RefusalLog {
    /// How many times this was suppressed since it was logged last; `None` if it should not be
    /// logged now.
    pub(super) fn again(&self, about: &str, reason: &'static str) -> Option<u32> {
        let mut told = self.0.locked();
        let key = (cut(about, LONGEST).into_owned(), reason);
        if let Some((at, suppressed)) = told.get_mut(&key) {
            if at.elapsed() < AGAIN {
                *suppressed = suppressed.saturating_add(1);
                return None;
            }
            *at = Instant::now();
            return Some(std::mem::take(suppressed));
        }
        if told.len() >= REMEMBERED {
            told.retain(|_, (at, _)| at.elapsed() < AGAIN);
        }
        if told.len() >= REMEMBERED {
            return None;
        }
        told.insert(key, (Instant::now(), 0));
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn strangers_do_not_fill_the_log() {
        let told = RefusalLog::default();
        let said = |server: &str| told.again(server, "OtherAddress");
        assert_eq!([(); 3].map(|()| said("a")), [Some(0), None, None]);
        assert_eq!(said("b"), Some(0));
        assert_eq!(told.again("a", "OutsideBootWindow"), Some(0));
        advance(AGAIN).await;
        assert_eq!([(); 2].map(|()| said("a")), [Some(2), None]);
        for server in 0..2 * REMEMBERED {
            said(&server.to_string());
        }
        assert_eq!(told.0.lock().unwrap().len(), REMEMBERED);
    }

    #[tokio::test(start_paused = true)]
    async fn what_strangers_cannot_have_is_logged_once_in_a_while_whatever_it_is() {
        let (told, long) = (RefusalLog::default(), "x".repeat(100_000));
        let names = |text: &str| vec![text.to_owned(), "b".to_owned()];
        for refusal in [
            Refusal::Ambiguous { names: names("a") },
            Refusal::Ambiguous { names: names(&long) },
            Refusal::Unusable { why: "spec.kernelURL".to_owned() },
        ] {
            for _ in 0..10 {
                log(&told, "ipxe", &refusal);
            }
        }
        log_unavailable(&told, "image", &Error::Deadline);
        let told = told.0.lock().unwrap();
        assert_eq!(told.len(), 4);
        assert!(told.keys().all(|(about, _)| about.len() <= LONGEST));
        assert_eq!(told.values().map(|(_, suppressed)| suppressed).sum::<u32>(), 27);
    }
}
