//! The HTTP server for machines. Any path may be prefixed by `/c/TOKEN`, which an installer gets
//! from the templates of its installation.

mod cloud_init;
mod disable;
mod files;
mod install;
mod requester;

use crate::{
    Context, attest, image_files,
    metrics::{Attested, RefusalLabels},
};
use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{DefaultBodyLimit, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
pub(crate) use install::has_begun;
use kube::ResourceExt;
use metal_api::Machine;
use metal_attest::{Answer, RequestError};
use metal_machine::attest::MachineLookupError;
use metal_runtime::{LogLimit, listener::Limits, report::Chain};
use requester::Requester;
use std::sync::Arc;

/// Largest body of a request, but of an attestation.
const LARGEST: usize = 16 << 10;
/// Value of `Retry-After` for temporary refusals, in seconds.
const RETRY: [(header::HeaderName, &str); 1] = [(header::RETRY_AFTER, "5")];

/// The limits of the port: an attestation may have an event log.
pub(crate) fn limits() -> Limits {
    Limits { body_bytes: attest::LARGEST, ..Limits::MACHINES }
}

/// All routes.
pub(crate) fn router(ctx: Arc<Context>) -> Router {
    let told = Arc::<LogLimit>::default();
    let routes = || {
        Router::new()
            .route("/healthz", get(|| async { "ok" }))
            .route("/attest", post(attest))
            .route("/pxe/disable", get(disable::disable).post(disable::disable).head(no_head))
            .route("/install/progress", post(install::progress))
            .route("/cloudinit/log", post(cloud_init::log))
            .route("/cloud-init/user-data", get(cloud_init::user_data).head(no_head))
            .fallback(files::file)
    };
    let limit = DefaultBodyLimit::max(LARGEST);
    routes().nest("/c/{token}", routes()).layer(limit).layer(Extension(told)).with_state(ctx)
}

/// HEAD must not change anything, but axum answers HEAD with the GET handler.
async fn no_head(State(_): State<Arc<Context>>) -> StatusCode {
    StatusCode::METHOD_NOT_ALLOWED
}

/// A file of an image that a machine does not get.
struct Unserved<'a> {
    machine: &'a Machine,
    path: &'a str,
    why: image_files::Refused,
}

impl Unserved<'_> {
    /// The response to its request.
    fn answered(&self, ctx: &Context, requester: &Requester) -> Response {
        let Self { machine, path, why } = self;
        ctx.refusals.get_or_create(&RefusalLabels { reason: why.into() }).inc();
        let status = match why {
            image_files::Refused::NoImage
            | image_files::Refused::NotReady
            | image_files::Refused::StaleCache
            | image_files::Refused::Busy => return unavailable(&why.to_string()),
            image_files::Refused::NotFound | image_files::Refused::Template(_) => {
                StatusCode::NOT_FOUND
            }
            image_files::Refused::NotDue => StatusCode::FORBIDDEN,
        };
        // Boot loaders probe for many files that do not exist.
        if *why != image_files::Refused::NotFound && requester.may_tell() {
            tracing::warn!(machine = machine.name_any(), path, error = %why, "refused an HTTP request");
        }
        (status, format!("{why}\n")).into_response()
    }
}

fn unavailable(why: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, RETRY, format!("{why}\n")).into_response()
}

async fn attest(State(ctx): State<Arc<Context>>, requester: Requester, body: Body) -> Response {
    let answer = match requester.address {
        Some(address) => attest::answer(&ctx, address, body).await,
        None => Err(MachineLookupError::Unknown.into()),
    };
    let result = match &answer {
        Ok(Answer::Token(_)) => "Issued",
        Ok(Answer::Challenge { .. }) => "Challenged",
        Err(refused) => refused.reason(),
    };
    ctx.attested.get_or_create(&Attested { result }).inc();
    match answer {
        Ok(response) => ([(header::CACHE_CONTROL, "no-store")], Json(response)).into_response(),
        Err(refused) => {
            if requester.may_tell() {
                tracing::warn!(
                    address = ?requester.address,
                    error = %Chain(&refused),
                    "could not issue a token to a machine",
                );
            }
            refused.into_response()
        }
    }
}

impl IntoResponse for attest::Refused {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Request(RequestError::TooLong) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Request(_) | Self::Broken => StatusCode::BAD_REQUEST,
            Self::KeyDiffers
            | Self::PinMissing
            | Self::KeyOfAnother
            | Self::Certificate(_)
            | Self::Boot(_) => StatusCode::FORBIDDEN,
            Self::Lookup(MachineLookupError::Unknown) => StatusCode::NOT_FOUND,
            Self::NodeOfAnother | Self::Lookup(MachineLookupError::Ambiguous) => {
                StatusCode::CONFLICT
            }
            Self::TooOften => {
                return (StatusCode::TOO_MANY_REQUESTS, RETRY, format!("{self}\n")).into_response();
            }
            Self::Seal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotListed | Self::StaleCache | Self::Record(_) | Self::Token(_) | Self::Late => {
                return (StatusCode::SERVICE_UNAVAILABLE, RETRY, format!("{self}\n"))
                    .into_response();
            }
        };
        (status, format!("{self}\n")).into_response()
    }
}

#[cfg(test)]
mod tests;
