//! The files that an installer consists of: at a mirror, or layers of an image.

use super::{ClientAddress, Failure, install::current, settle_boot};
use crate::{
    context::Context,
    images::{ImageError, Images, Part, Pull},
    pull_secrets,
};
use axum::{
    body::Body,
    extract::{FromRequestParts, Path, State},
    http::{HeaderMap, Method, StatusCode, header::LOCATION, request::Parts},
    response::{IntoResponse, Response},
};
use kube::runtime::events::EventType;
use metal_api::BootToken;
use metal_core::boot_token::{
    installer::{Source, installer, source},
    login::NoLogin,
};
use metal_image::{Blob, Logins, respond};
use metal_runtime::report::Chain;
use std::{convert::Infallible, sync::Arc};

const BINARY: &str = "application/octet-stream";

/// Method and headers of a request for a file: for all of it, a range, or only its size.
#[derive(Debug)]
pub(super) struct FileRequest {
    method: Method,
    headers: HeaderMap,
}

impl<S: Send + Sync> FromRequestParts<S> for FileRequest {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self { method: parts.method.clone(), headers: parts.headers.clone() })
    }
}

impl FileRequest {
    /// The response with a layer.
    pub(super) fn answer(&self, blob: &Blob) -> Response {
        respond(&self.method, &self.headers, blob, BINARY).map(Body::from_stream)
    }
}

/// A part of the installer: its kernel, initial RAM disk, or root file system.
pub(super) async fn file(
    State(ctx): State<Arc<Context>>,
    asker: ClientAddress,
    Path((cap, name)): Path<(String, String)>,
    request: FileRequest,
) -> Response {
    let Some(file) = Part::named(&name) else { return StatusCode::NOT_FOUND.into_response() };
    let answer = part(&ctx, &cap, file, &request).await;
    settle_boot(&ctx, &asker, file.name(), answer)
}

async fn part(
    ctx: &Context,
    cap: &str,
    part: Part,
    request: &FileRequest,
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
    let pull = pull(ctx, &token, image).await?;
    let blob = Images::open_part(ctx.images.as_ref(), &pull, part).await;
    let blob = blob.map_err(|error| unfetched(ctx, &token, &error))?;
    Ok(request.answer(&blob))
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

/// The logins for the images of a token. If there is a problem, a person may correct it while the machine
/// retries.
pub(super) async fn logins(ctx: &Context, token: &Arc<BootToken>) -> Result<Logins, Failure> {
    pull_secrets::logins(ctx, token).await.map_err(|why| no_login(ctx, token, &why))
}

/// One of its images, and the logins that it is fetched with.
pub(super) async fn pull<'a>(
    ctx: &Context,
    token: &'a Arc<BootToken>,
    image: &'a str,
) -> Result<Pull<'a>, Failure> {
    let logins = pull_secrets::logins_for(ctx, token, image).await;
    let logins = logins.map_err(|why| no_login(ctx, token, &why))?;
    let namespace = token.metadata.namespace.as_deref().unwrap_or_default();
    Ok(Pull { image, namespace, logins })
}

fn no_login(ctx: &Context, token: &Arc<BootToken>, why: &NoLogin) -> Failure {
    ctx.notices.publish_event(&**token, EventType::Warning, why.reason(), why.to_string());
    Failure::Unavailable("there is no login for its images")
}

/// The failure if the installer cannot be fetched: it is temporary, as somebody may push the image, or start the
/// registry.
pub(super) fn unfetched(ctx: &Context, token: &Arc<BootToken>, error: &ImageError) -> Failure {
    absent(
        ctx,
        token,
        ("the image of the installer", "the image of the installer is not there"),
        error,
    )
}

/// The same for the image that is installed.
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
