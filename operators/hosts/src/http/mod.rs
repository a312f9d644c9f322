//! What machines and hosts ask for, over HTTP.
//!
//! | path | who | what |
//! |---|---|---|
//! | `GET /api/ipxe/SECRET` | anybody | the first script, or one that says that the URL is not valid |
//! | `GET /c/CAP/boot` | whoever has the first script | the second script: a boot begins |
//! | `GET /c/CAP/kernel`, `initrd`, `squashfs`, `kickstart`, `credential` | a boot | what it installs with |
//! | `GET /c/CAP/auth.json` | a boot | the login for the image that it installs |
//! | `GET /c/CAP/install.json`, `disk.img`, `disk.img.sha256` | a boot | what metal-installer writes |
//! | `POST /c/CAP/progress` | a boot | how far it is |
//! | `POST /c/CAP/install/progress`, `pxe/disable` | a boot | the same, of metal-installer |
//! | `GET /api/hosts/nonce` | anybody | a number to sign with the next request |
//! | `POST /api/hosts/attest` | an installed machine | a proof, which only its TPM can decrypt |
//! | `POST /api/hosts/register` | an installed machine | becomes a Host |
//! | `GET /api/hosts/self` | a Host | the release that it is to run |
//! | `POST /api/hosts/self/status` | a Host | how it is |
//! All refusals get the same answer.

mod attest;
mod client_address;
mod disk_image;
mod files;
mod host;
mod install;
mod login;
mod proof;
mod register;
mod script;
#[cfg(test)]
mod tests;
mod write;

use crate::{context::Context, metrics::Answer};
use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use client_address::ClientAddress;
use kube::runtime::events::EventType;
use metal_api::{
    BootToken,
    installation::{DONE, ORDER, PROGRESS},
};
use metal_core::boot_token::{
    Refusal,
    kickstart::LOGIN,
    order::{CHECKSUMS, DISK},
};
use metal_rented::signed::path;
use metal_runtime::report::Chain;
use std::sync::Arc;

/// Every route.
pub(crate) fn router(ctx: Arc<Context>) -> Router {
    Router::new()
        .route("/api/ipxe/{secret}", get(script::first).head(not_head))
        .route("/c/{cap}/boot", get(script::second).head(not_head))
        .route("/c/{cap}/{file}", get(files::file))
        .route("/c/{cap}/kickstart", get(install::kickstart).head(not_head))
        .route("/c/{cap}/credential", get(install::credential).head(not_head))
        .route(&below(LOGIN), get(login::login).head(not_head))
        .route("/c/{cap}/progress", post(install::progress))
        .route(&below(ORDER), get(disk_image::order))
        .route(&below(CHECKSUMS), get(disk_image::checksums))
        .route(&below(DISK), get(disk_image::disk))
        .route(&below(PROGRESS), post(disk_image::progress))
        .route(&below(DONE), post(disk_image::done))
        .route(path::NONCE, get(proof::nonce).head(not_head))
        .route(path::ATTEST, post(attest::attest))
        .route(path::REGISTER, post(register::register))
        .route(path::RELEASE, get(host::release).head(not_head))
        .route(path::STATUS, post(host::status))
        .with_state(ctx)
}

/// A path below the URL of a boot.
fn below(path: &str) -> String {
    format!("/c/{{cap}}/{path}")
}

/// A HEAD would do everything that a GET does, for example begin a boot.
async fn not_head() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET")]).into_response()
}

/// Why a request is not answered.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The token, if it exists, gives nothing to this machine.
    Refused(Refusal, Option<Arc<BootToken>>),
    /// The same for the holder of a valid capability: its boot has ended.
    Over(Refusal, Option<Arc<BootToken>>),
    /// A proof is missing, or wrong.
    Unproven(&'static str),
    /// Its source was refused too often.
    TooMany,
    /// The request cannot be parsed.
    Malformed(String),
    /// It may be possible later.
    Unavailable(&'static str),
    /// The API server did not take a write.
    Api(Box<kube::Error>),
    /// Something was configured that cannot be used.
    Unusable(String, Option<Arc<BootToken>>),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal, None)
    }
}

/// How long a machine that cannot be answered now should wait, in seconds.
const RETRY: [(header::HeaderName, &str); 1] = [(header::RETRY_AFTER, "5")];
/// No response may be given to anybody else.
const PRIVATE: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// Counts an answer, reports a refusal, and makes the response.
fn settle(
    ctx: &Context,
    asker: &ClientAddress,
    what: &'static str,
    answer: Result<Response, Failure>,
) -> Response {
    let answer = answer.map_err(|failure| limited(ctx, asker, what, failure));
    let result = answer.as_ref().map_or_else(Failure::word, |_| "Ok");
    ctx.answers.get_or_create(&Answer { what, result }).inc();
    match answer {
        Ok(response) => (PRIVATE, response).into_response(),
        Err(failure) => (PRIVATE, refuse(ctx, asker, what, failure)).into_response(),
    }
}

/// The same for the holder of the capability of a boot. It is always told that its boot has ended, however often
/// others at its address were refused: an installer that is told nothing might continue, and clear a disk.
fn settle_boot(
    ctx: &Context,
    asker: &ClientAddress,
    what: &'static str,
    answer: Result<Response, Failure>,
) -> Response {
    let answer = answer.map_err(|failure| match failure {
        // Without one of our capabilities it would be `Unproven`.
        Failure::Refused(refusal, token) => Failure::Over(refusal, token),
        failure => failure,
    });
    settle(ctx, asker, what, answer)
}

/// A source that fails too often is told nothing further, and nothing is reported, except about a token whose
/// secret it knows. Requests that do not fail are still answered, because a guess by somebody at the same
/// address says nothing about them.
fn limited(ctx: &Context, asker: &ClientAddress, what: &str, failure: Failure) -> Failure {
    let is_limited =
        matches!(failure, Failure::Refused(..) | Failure::Unproven(_) | Failure::Malformed(_));
    if !is_limited || ctx.refusals.may_fail(asker.address) {
        return failure;
    }
    if let Failure::Refused(refusal, token) = failure {
        tell(ctx, (what, asker), &refusal, token);
    }
    Failure::TooMany
}

/// Reports a refusal on its token. Only the holder of a token's secret can cause that, so strangers cannot drown
/// it out; the reports on one token are limited separately.
fn tell(
    ctx: &Context,
    (what, asker): (&str, &ClientAddress),
    refusal: &Refusal,
    token: Option<Arc<BootToken>>,
) {
    if let Some(token) = token {
        let note = format!("{what}, from {asker}: {refusal}");
        ctx.notices.publish_event(&*token, EventType::Warning, refusal.into(), note);
    }
}

fn refuse(ctx: &Context, asker: &ClientAddress, what: &'static str, failure: Failure) -> Response {
    match failure {
        Failure::Refused(refusal, token) | Failure::Over(refusal, token) => {
            ctx.refusals.refused(asker.address);
            tell(ctx, (what, asker), &refusal, token);
            refused()
        }
        Failure::Unproven(why) => {
            if ctx.refusals.refused(asker.address) && ctx.told.may() {
                tracing::info!(what, from = %asker, why, "refused");
            }
            refused()
        }
        Failure::TooMany => {
            let text = "refused too often; wait a minute\n";
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "60")], text).into_response()
        }
        Failure::Malformed(why) => {
            ctx.refusals.refused(asker.address);
            (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response()
        }
        Failure::Unavailable(why) => unavailable(why),
        Failure::Api(error) => {
            if ctx.told.may() {
                tracing::warn!(what, error = %Chain(&*error), "not written");
            }
            unavailable("the cluster does not answer")
        }
        Failure::Unusable(why, token) => {
            if let Some(token) = token {
                ctx.notices.publish_event(&*token, EventType::Warning, "Unusable", why);
            }
            let text = "it is not configured well: see the events of the BootToken\n";
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

fn refused() -> Response {
    (StatusCode::FORBIDDEN, "refused\n").into_response()
}

fn unavailable(why: &str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, RETRY, format!("{why}; try again\n")).into_response()
}

impl Failure {
    /// Why a machine is not answered now, but may be later; shown on its console.
    fn why(&self) -> Option<&'static str> {
        match self {
            Self::Unavailable(why) => Some(why),
            Self::Api(_) => Some("the cluster does not answer"),
            Self::TooMany => Some("refused too often"),
            Self::Refused(..)
            | Self::Over(..)
            | Self::Unproven(_)
            | Self::Malformed(_)
            | Self::Unusable(..) => None,
        }
    }

    /// The reason as a label of metrics, from a small fixed set.
    fn word(&self) -> &'static str {
        match self {
            Self::Refused(refusal, _) | Self::Over(refusal, _) => refusal.into(),
            Self::Unproven(_) => "Unproven",
            Self::TooMany => "TooMany",
            Self::Malformed(_) => "Malformed",
            Self::Unavailable(_) => "Unavailable",
            Self::Api(_) => "NotWritten",
            Self::Unusable(..) => "Unusable",
        }
    }
}
