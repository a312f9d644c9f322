//! The files that an installer consists of: at a mirror, or layers of an image.

use super::{ClientAddress, Failure, install::current, settle_boot};
use crate::{
    context::Context,
    images::{ImageError, Images, Part, Pull},
    pull_secrets,
};
use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, Method, StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};
use kube::{ResourceExt, runtime::events::EventType};
use metal_api::BootToken;
use metal_core::boot_token::installer::{Source, installer, source};
use metal_image::{Logins, respond};
use metal_runtime::report::Chain;
use std::sync::Arc;

pub(super) const BINARY: &str = "application/octet-stream";

/// A part of the installer: its kernel, initial RAM disk, or root file system.
pub(super) async fn file(
    State(ctx): State<Arc<Context>>,
    asker: ClientAddress,
    Path((cap, name)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let Some(file) = Part::named(&name) else { return StatusCode::NOT_FOUND.into_response() };
    let answer = part(&ctx, &cap, file, (&method, &headers)).await;
    settle_boot(&ctx, &asker, file.name(), answer)
}

async fn part(
    ctx: &Context,
    cap: &str,
    part: Part,
    (method, headers): (&Method, &HeaderMap),
) -> Result<Response, Failure> {
    let (token, _) = current(ctx, cap).await?;
    let image = match source_of(ctx, &token)? {
        Source::Image(image) => image,
        Source::Mirror { kernel, initrd, .. } => {
            let url = match part {
                Part::Kernel => kernel,
                Part::Initrd => initrd,
                Part::Squashfs => return Err(unfetched(ctx, &token, &ImageError::NoSquashfs)),
            };
            return Ok((StatusCode::FOUND, [(LOCATION, url)]).into_response());
        }
    };
    let (namespace, logins) = (token.namespace().unwrap_or_default(), logins(ctx, &token).await?);
    let pull = Pull { image, namespace: &namespace, logins: &logins };
    let blob = Images::open_part(ctx.images.as_ref(), pull, part).await;
    let blob = blob.map_err(|error| unfetched(ctx, &token, &error))?;
    Ok(respond(method, headers, &blob, BINARY).map(Body::from_stream))
}

/// Where the installer of a token is.
pub(super) fn source_of<'a>(
    ctx: &'a Context,
    token: &'a Arc<BootToken>,
) -> Result<Source<'a>, Failure> {
    let installer = installer(token, ctx.installer.as_ref());
    let source = installer.and_then(|it| source(it, &token.spec.image));
    let why = "there is no installer: see the condition Usable";
    source.ok_or_else(|| Failure::Unusable(why.to_owned(), Some(Arc::clone(token))))
}

/// The logins for the images of a token. A person may mend what is wrong while a machine asks again.
pub(super) async fn logins(ctx: &Context, token: &Arc<BootToken>) -> Result<Logins, Failure> {
    pull_secrets::logins(ctx, token).await.map_err(|why| {
        ctx.notices.publish_event(&**token, EventType::Warning, why.reason(), why.to_string());
        Failure::Unavailable("there is no login for its images")
    })
}

/// What is said of an installer that is not there: somebody may push the image, or start the registry.
pub(super) fn unfetched(ctx: &Context, token: &Arc<BootToken>, error: &ImageError) -> Failure {
    absent(
        ctx,
        token,
        ("the image of the installer", "the image of the installer is not there"),
        error,
    )
}

/// The same of the image that is installed.
pub(super) fn no_disk(ctx: &Context, token: &Arc<BootToken>, error: &ImageError) -> Failure {
    absent(ctx, token, ("image", "the disk image is not there"), error)
}

fn absent(
    ctx: &Context,
    token: &Arc<BootToken>,
    (what, told): (&str, &'static str),
    error: &ImageError,
) -> Failure {
    let why = format!("{what}: {}", Chain(error));
    ctx.notices.publish_event(&**token, EventType::Warning, "ImageNotFetched", why);
    Failure::Unavailable(told)
}
