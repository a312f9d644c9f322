//! What metal-installer asks for (`metal_api::installation`): a disk image, and which disk it goes to.

use super::{
    ClientAddress, Failure,
    files::{FileRequest, no_disk, pull},
    install::{confirmed, parse, reported},
    settle_boot,
};
use crate::{context::Context, images::Images};
use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use metal_api::{BootStep, BootToken, installation::InstallProgress};
use metal_core::boot_token::{
    installer::writes_disk_image,
    order::{self, DISK},
    progress::InstallReport,
};
use std::sync::Arc;

/// The token of a boot in progress that writes a disk image; others have none.
async fn writing(ctx: &Context, cap: &str) -> Result<Option<Arc<BootToken>>, Failure> {
    let (token, _) = confirmed(ctx, cap).await?;
    Ok(Some(token).filter(|token| writes_disk_image(token, ctx.installer.as_ref())))
}

fn none() -> Response {
    StatusCode::NOT_FOUND.into_response()
}

/// What is to be installed where.
pub(super) async fn order(
    State(ctx): State<Arc<Context>>,
    asker: ClientAddress,
    Path(cap): Path<String>,
) -> Response {
    let answer = writing(&ctx, &cap).await;
    let answer = answer
        .map(|token| token.map_or_else(none, |token| Json(order::order(&token)).into_response()));
    settle_boot(&ctx, &asker, "order", answer)
}

/// The checksum of the disk image: its digest.
pub(super) async fn checksums(
    State(ctx): State<Arc<Context>>,
    asker: ClientAddress,
    Path(cap): Path<String>,
) -> Response {
    let answer = listed(&ctx, &cap).await;
    settle_boot(&ctx, &asker, "checksums", answer)
}

async fn listed(ctx: &Context, cap: &str) -> Result<Response, Failure> {
    let Some(token) = writing(ctx, cap).await? else { return Ok(none()) };
    let pull = pull(ctx, &token, &token.spec.image).await?;
    let layer = Images::disk(ctx.images.as_ref(), &pull).await;
    let layer = layer.map_err(|error| no_disk(ctx, &token, &error))?;
    let list = format!("{}  {DISK}\n", layer.digest.hex());
    Ok(([(CONTENT_TYPE, "text/plain; charset=us-ascii")], list).into_response())
}

/// The disk image.
pub(super) async fn disk(
    State(ctx): State<Arc<Context>>,
    asker: ClientAddress,
    Path(cap): Path<String>,
    request: FileRequest,
) -> Response {
    let answer = opened(&ctx, &cap, &request).await;
    settle_boot(&ctx, &asker, "disk", answer)
}

async fn opened(ctx: &Context, cap: &str, request: &FileRequest) -> Result<Response, Failure> {
    let Some(token) = writing(ctx, cap).await? else { return Ok(none()) };
    let pull = pull(ctx, &token, &token.spec.image).await?;
    let images = ctx.images.as_ref();
    let blob = match Images::disk(images, &pull).await {
        Ok(layer) => Images::open_layer(images, &pull, &layer).await,
        Err(error) => Err(error),
    };
    let blob = blob.map_err(|error| no_disk(ctx, &token, &error))?;
    Ok(request.answer(&blob))
}

/// Takes a report of metal-installer.
pub(super) async fn progress(
    State(ctx): State<Arc<Context>>,
    asker: ClientAddress,
    Path(cap): Path<String>,
    body: Bytes,
) -> Response {
    let report = || parse::<InstallProgress>(&body).map(InstallReport::from);
    let answer = reported(&ctx, &cap, report).await;
    settle_boot(&ctx, &asker, "progress", answer.map(|()| StatusCode::NO_CONTENT.into_response()))
}

/// metal-installer is done, and repeats that until it is heard.
pub(super) async fn done(
    State(ctx): State<Arc<Context>>,
    asker: ClientAddress,
    Path(cap): Path<String>,
) -> Response {
    let report = || Ok(InstallReport { step: BootStep::Done, message: String::new() });
    let answer = reported(&ctx, &cap, report).await;
    settle_boot(&ctx, &asker, "progress", answer.map(|()| StatusCode::NO_CONTENT.into_response()))
}
