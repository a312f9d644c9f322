//! The login for the image that a boot installs, for an installer that pulls it by itself.

use super::{ClientAddress, Failure, files::logins, install::confirmed, settle_boot};
use crate::{context::Context, pull_secrets::given_out};
use axum::{
    extract::{Path, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use std::sync::Arc;

/// Gives it to the boot in progress, of which the API server has to know, and for that image alone.
pub(super) async fn login(
    State(ctx): State<Arc<Context>>,
    asker: ClientAddress,
    Path(cap): Path<String>,
) -> Response {
    let answer = file(&ctx, &cap).await;
    settle_boot(&ctx, &asker, "login", answer)
}

async fn file(ctx: &Context, cap: &str) -> Result<Response, Failure> {
    let (token, _) = confirmed(ctx, cap).await?;
    let name = given_out(ctx, &token);
    let logins = logins(ctx, &token).await?;
    Ok(match name.and_then(|name| logins.file_for(&name)) {
        Some(file) => ([(CONTENT_TYPE, "application/json")], file).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    })
}
