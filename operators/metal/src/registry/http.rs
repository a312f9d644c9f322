//! Paths, bodies and status codes.

use super::{Denied, Registry, Reporter};
use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{DefaultBodyLimit, Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use metal_api::inventory::{BootStateReport, Registration, Report};
use metal_core::boot::url::WITH_TOKEN;
use metal_runtime::{listener::Peer, report::Chain};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// Time limit for the API server.
const DEADLINE: Duration = Duration::from_secs(10);
/// When to retry after a temporary refusal, in seconds.
const RETRY: &str = "5";

/// The routes of the registry, with and without a token.
pub(crate) fn router(registry: Arc<Registry>) -> Router {
    let with_token = |path: &str| format!("{WITH_TOKEN}{path}");
    Router::new()
        .route("/register", post(|state, peer, body| register(state, None, peer, body)))
        .route("/bootstate", post(|state, peer, body| boot_state(state, None, peer, body)))
        .route("/systems/{uuid}", get(|state, Path(uuid)| system(state, None, uuid)))
        .route("/delete/{uuid}", delete(|state, Path(uuid)| forget(state, None, uuid)))
        .route(
            &with_token("/register"),
            post(|state, Path(t), peer, body| register(state, Some(t), peer, body)),
        )
        .route(
            &with_token("/bootstate"),
            post(|state, Path(t), peer, body| boot_state(state, Some(t), peer, body)),
        )
        .route(
            &with_token("/systems/{uuid}"),
            get(|state, Path((t, uuid))| system(state, Some(t), uuid)),
        )
        .route(
            &with_token("/delete/{uuid}"),
            delete(|state, Path((t, uuid))| forget(state, Some(t), uuid)),
        )
        // Bodies are limited where they are read.
        .layer(DefaultBodyLimit::disable())
        .with_state(registry)
}

type Shared = State<Arc<Registry>>;
type From = Option<Extension<Peer>>;

async fn register(
    State(registry): Shared,
    token: Option<String>,
    peer: From,
    body: Body,
) -> Response {
    let registered = async {
        let reporter = registry.admit(token.as_deref())?;
        if let Reporter::Known(server, claims) = &reporter {
            Registry::boot_of(server, Some(claims))?;
        }
        let peer = peer.map(|Extension(peer)| peer);
        let (report, _held) = registry.bodies.read(&reporter, peer, body).await?;
        let Registration { system_uuid, data } = report;
        let (server, claims) = registry.server_of(reporter, &system_uuid)?;
        let boot = Registry::boot_of(&server, claims.as_ref())?;
        in_time(registry.store(&server, &boot, data)).await
    };
    answer(&registry, registered.await.map(|()| StatusCode::CREATED.into_response()))
}

async fn boot_state(
    State(registry): Shared,
    token: Option<String>,
    peer: From,
    body: Body,
) -> Response {
    let stored = async {
        let reporter = match (registry.admit(token.as_deref()), token) {
            (Err(refused @ Denied::Token(_)), Some(token)) => {
                let tenant = timeout(DEADLINE, registry.tenant(&token)).await;
                tenant.map_err(|_| Denied::Silent)??.ok_or(refused)?
            }
            (admitted, _) => admitted?,
        };
        let peer = peer.map(|Extension(peer)| peer);
        let (report, _held) = registry.bodies.read(&reporter, peer, body).await?;
        let BootStateReport { system_uuid, booted } = report;
        let server = registry.speaker(reporter, &system_uuid)?;
        if booted { in_time(registry.booted(&server)).await } else { Ok(()) }
    };
    answer(&registry, stored.await.map(|()| StatusCode::OK.into_response()))
}

async fn system(State(registry): Shared, token: Option<String>, uuid: String) -> Response {
    let found = async {
        let server = registry.speaker(registry.admit(token.as_deref())?, &uuid)?;
        in_time(registry.report(&server)).await
    };
    answer(&registry, found.await.map(|report: Report| Json(report).into_response()))
}

async fn forget(State(registry): Shared, token: Option<String>, uuid: String) -> Response {
    let forgotten = async {
        let (server, claims) = registry.server_of(registry.admit(token.as_deref())?, &uuid)?;
        Registry::boot_of(&server, claims.as_ref())?;
        in_time(registry.forget(&server)).await
    };
    answer(&registry, forgotten.await.map(|()| StatusCode::OK.into_response()))
}

/// The result of a request to the API server, unless that does not answer: then the agent retries,
/// and takes up nothing here until then.
async fn in_time<T>(asked: impl Future<Output = Result<T, Denied>>) -> Result<T, Denied> {
    timeout(DEADLINE, asked).await.unwrap_or(Err(Denied::Silent))
}

fn answer(registry: &Registry, result: Result<Response, Denied>) -> Response {
    let response = result.unwrap_or_else(|denied| {
        let (code, error) = (denied.status().as_u16(), Chain(&denied));
        if registry.told.may() {
            tracing::warn!(code, %error, "refused a registry request");
        } else {
            tracing::debug!(code, %error, "refused a registry request");
        }
        denied.into_response()
    });
    let code = ("code".to_owned(), response.status().as_u16().to_string());
    registry.answers.get_or_create(&vec![code]).inc();
    response
}

impl Denied {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotReady | Self::Busy | Self::Silent | Self::Store(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::NoToken => StatusCode::UNAUTHORIZED,
            Self::Token(_) | Self::Malformed(metal_core::report::ReportError::Foreign { .. }) => {
                StatusCode::FORBIDDEN
            }
            Self::Over { .. } | Self::Closed { .. } => StatusCode::CONFLICT,
            Self::Unknown | Self::Ambiguous(_) | Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::Malformed(_) | Self::Json(_) | Self::Broken => StatusCode::BAD_REQUEST,
            Self::TooLarge | Self::Heavy(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
        }
    }
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let code = self.status();
        let text = format!("{self}\n");
        if code == StatusCode::SERVICE_UNAVAILABLE {
            return (code, [(header::RETRY_AFTER, RETRY)], text).into_response();
        }
        (code, text).into_response()
    }
}
