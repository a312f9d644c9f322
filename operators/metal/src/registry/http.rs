//! Paths, bodies and status codes.

use super::{Denied, Registry};
use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, FromRequest, Path, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use bytes::Bytes;
use metal_api::inventory::{BootStateReport, Registration, Report};
use metal_runtime::report::Chain;
use serde::de::DeserializeOwned;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// Largest report that is taken: some ten times that of the largest machine.
const LARGEST: usize = 4 << 20;
/// How long a body may take to come in, and an answer to be found.
const DEADLINE: Duration = Duration::from_secs(15);

/// The routes of the registry, with and without token.
pub fn router(registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/register", post(|state, body| register(state, None, body)))
        .route("/bootstate", post(|state, body| boot_state(state, None, body)))
        .route("/systems/{uuid}", get(|state, Path(uuid)| system(state, None, uuid)))
        .route("/delete/{uuid}", delete(|state, Path(uuid)| forget(state, None, uuid)))
        .route("/t/{token}/register", post(|state, Path(t), body| register(state, Some(t), body)))
        .route(
            "/t/{token}/bootstate",
            post(|state, Path(t), body| boot_state(state, Some(t), body)),
        )
        .route(
            "/t/{token}/systems/{uuid}",
            get(|state, Path((t, uuid))| system(state, Some(t), uuid)),
        )
        .route(
            "/t/{token}/delete/{uuid}",
            delete(|state, Path((t, uuid))| forget(state, Some(t), uuid)),
        )
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(registry)
}

type Shared = State<Arc<Registry>>;

async fn register(State(registry): Shared, token: Option<String>, Body(body): Body) -> Response {
    let registered = async {
        let Registration { system_uuid, data } = parse::<Registration>(&body)?;
        let (server, claims) = registry.authorize(token.as_deref(), Some(&system_uuid))?;
        let boot = Registry::boot_of(&server, claims.as_ref())?;
        registry.store(&server, &boot, data).await
    };
    answer(&registry, registered.await.map(|()| StatusCode::CREATED.into_response()))
}

async fn boot_state(State(registry): Shared, token: Option<String>, Body(body): Body) -> Response {
    let stored = async {
        let BootStateReport { system_uuid, booted } = parse::<BootStateReport>(&body)?;
        let (server, _) = registry.authorize(token.as_deref(), Some(&system_uuid))?;
        if booted { registry.booted(&server).await } else { Ok(()) }
    };
    answer(&registry, stored.await.map(|()| StatusCode::OK.into_response()))
}

async fn system(State(registry): Shared, token: Option<String>, uuid: String) -> Response {
    let found = async {
        let (server, _) = registry.authorize(token.as_deref(), Some(&uuid))?;
        registry.report(&server).await
    };
    answer(&registry, found.await.map(|report: Report| Json(report).into_response()))
}

async fn forget(State(registry): Shared, token: Option<String>, uuid: String) -> Response {
    let forgotten = async {
        let (server, claims) = registry.authorize(token.as_deref(), Some(&uuid))?;
        Registry::boot_of(&server, claims.as_ref())?;
        registry.forget(&server).await
    };
    answer(&registry, forgotten.await.map(|()| StatusCode::OK.into_response()))
}

/// A body that came in whole, in time, and is not too large.
struct Body(Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        match timeout(DEADLINE, Bytes::from_request(request, state)).await {
            Ok(Ok(body)) => Ok(Self(body)),
            Ok(Err(rejection)) => Err(rejection.into_response()),
            Err(_) => Err((StatusCode::REQUEST_TIMEOUT, "body: too slow\n").into_response()),
        }
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Denied> {
    serde_json::from_slice(body).map_err(|error| Denied::Json(error.to_string()))
}

fn answer(registry: &Registry, result: Result<Response, Denied>) -> Response {
    let response = result.unwrap_or_else(IntoResponse::into_response);
    let code = ("code".to_owned(), response.status().as_u16().to_string());
    registry.answers.get_or_create(&vec![code]).inc();
    response
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        let code = match &self {
            Self::NotReady | Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoToken => StatusCode::UNAUTHORIZED,
            Self::Token(_) | Self::Malformed(metal_core::registry::Malformed::Foreign { .. }) => {
                StatusCode::FORBIDDEN
            }
            Self::Over { .. } => StatusCode::CONFLICT,
            Self::Unknown | Self::Ambiguous(_) | Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::Malformed(_) | Self::Json(_) => StatusCode::BAD_REQUEST,
        };
        tracing::warn!(code = code.as_u16(), error = %Chain(&self), "registry request refused");
        (code, format!("{self}\n")).into_response()
    }
}
