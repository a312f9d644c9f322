//! What machines ask for, over HTTP.

use crate::{
    Context,
    attest::{self, Refused},
    metrics::Attested,
};
use axum::{
    Extension, Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use metal_core::machine::attest::Stranger;
use metal_runtime::{LogLimit, listener::Peer, report::Chain};
use std::sync::Arc;

/// What a machine that is refused for now is to wait, in seconds.
const RETRY: [(header::HeaderName, &str); 1] = [(header::RETRY_AFTER, "5")];

/// Every route.
pub fn router(ctx: Arc<Context>) -> Router {
    let told = Arc::<LogLimit>::default();
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/attest", post(attest))
        .layer(Extension(told))
        .with_state(ctx)
}

/// Who asks is known by the other end of the connection alone: headers say what anybody likes.
async fn attest(
    State(ctx): State<Arc<Context>>,
    Extension(told): Extension<Arc<LogLimit>>,
    Extension(Peer(peer)): Extension<Peer>,
    body: Bytes,
) -> Response {
    let address = peer.ip().to_canonical();
    let answer = attest::answer(&ctx, address, &body).await;
    let result = answer.as_ref().map_or_else(Refused::reason, |_| "Issued");
    ctx.attested.get_or_create(&Attested { result }).inc();
    match answer {
        Ok(response) => ([(header::CACHE_CONTROL, "no-store")], Json(response)).into_response(),
        Err(refused) => {
            if told.may() {
                tracing::warn!(%address, error = %Chain(&refused), "no token for a machine");
            }
            refused.into_response()
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Request(_) => StatusCode::BAD_REQUEST,
            Self::KeyDiffers => StatusCode::FORBIDDEN,
            Self::Stranger(Stranger::Unknown) => StatusCode::NOT_FOUND,
            Self::Stranger(Stranger::Ambiguous) => StatusCode::CONFLICT,
            Self::Seal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotListed | Self::Record(_) | Self::Contended | Self::Token(_) | Self::Late => {
                return (StatusCode::SERVICE_UNAVAILABLE, RETRY, format!("{self}\n"))
                    .into_response();
            }
        };
        (status, format!("{self}\n")).into_response()
    }
}

#[cfg(test)]
mod tests;
