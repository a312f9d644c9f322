//! Answers to requests that get nothing: the one place where a refusal becomes a status code.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use metal_core::boot::Refusal;

/// When a machine should ask again, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// The answer, in the form of the peer.
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

/// Says to the operator what is not said to a stranger.
pub(super) fn log(endpoint: &'static str, refusal: &Refusal) {
    match refusal {
        Refusal::Ambiguous { names } => {
            tracing::warn!(endpoint, ?names, "several claim the identity of one machine");
        }
        Refusal::Unusable { why } => tracing::warn!(endpoint, why, "boot config is not usable"),
        Refusal::Closed { server } => {
            tracing::info!(endpoint, server, "refused outside of the boot window");
        }
        _ => tracing::debug!(endpoint, reason = refusal.reason(), "refused"),
    }
}
