//! Logins for the registries of a token's images, from the Secrets that it names in its own namespace.
//!
//! This server may read no Secret of an organization by itself: a Role there lets it read each one by its
//! name. They are read again as often as somebody asks for an image, by all who ask within a moment together;
//! while the API server gives no answer, what was read last counts, so that an installation goes on.

use crate::{
    context::Context,
    pull_secret_looks::{FoundLogins, PATIENCE},
};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use metal_api::BootToken;
use metal_core::{
    boot_token::{
        installer::writes_disk_image,
        login::{FIELD, NoLogin, images, secrets},
    },
    pull_secret::PullSecret,
};
use metal_image::{Logins, Name, Reference};
use metal_runtime::{OkIf, lacks_right, report::Chain};
use std::collections::BTreeSet;
use tokio::time::timeout;

/// The longest that the Secrets of a token may be together, in bytes.
const LONGEST: usize = 16 << 10;

/// The logins of a token for its images; none, if it names no Secrets.
///
/// # Errors
///
/// If a Secret cannot be read or used, or they have no login for any of its images.
pub(crate) async fn logins(ctx: &Context, token: &BootToken) -> FoundLogins {
    let secrets = secrets(token);
    let Some(first) = secrets.first() else { return Ok(Logins::default()) };
    let logins = ctx.pull_secrets.look(first, &secrets, read(ctx, &secrets)).await?;
    is_of_use(ctx, token, &logins)?;
    Ok(logins)
}

/// The logins with which an image of a token is fetched: those of the server, for its own installer.
///
/// # Errors
///
/// As for [`logins`].
pub(crate) async fn logins_for(ctx: &Context, token: &BootToken, image: &str) -> FoundLogins {
    let Some(secret) = ctx.installer_secret.as_ref().filter(|_| is_ours(ctx, image)) else {
        return logins(ctx, token).await;
    };
    let one = std::slice::from_ref(secret);
    let logins = ctx.pull_secrets.look(secret, one, read(ctx, one)).await?;
    match image.parse::<Reference>() {
        Ok(image) if !logins.has(&image.name) => {
            Err(NoLogin::Missing(secret.field, image.name.registry().to_string()))
        }
        Ok(_) | Err(_) => Ok(logins),
    }
}

/// Why a token has no login for one of its images.
pub(crate) async fn problem(ctx: &Context, token: &BootToken) -> Option<NoLogin> {
    if let Err(problem) = logins(ctx, token).await {
        return Some(problem);
    }
    for image in images(token, ctx.installer.as_ref()) {
        if let Err(problem) = logins_for(ctx, token, image).await {
            return Some(problem);
        }
    }
    None
}

/// Whether an image is the installer of tokens that name none, for which the server has a login of its own.
fn is_ours(ctx: &Context, image: &str) -> bool {
    let ours = ctx.installer.as_ref().and_then(|it| it.image.as_deref());
    ctx.installer_secret.is_some() && ours == Some(image)
}

/// The repository for which an installer that pulls by itself is given a login.
pub(crate) fn given_out(ctx: &Context, token: &BootToken) -> Option<Name> {
    let pulls = !writes_disk_image(token, ctx.installer.as_ref());
    token.spec.image.parse::<Reference>().ok().map(|image| image.name).filter(|_| pulls)
}

fn is_of_use(ctx: &Context, token: &BootToken, logins: &Logins) -> Result<(), NoLogin> {
    let images = images(token, ctx.installer.as_ref());
    let names = images.iter().filter(|image| !is_ours(ctx, image));
    let names = names.filter_map(|image| image.parse::<Reference>().ok());
    let names: Vec<_> = names.map(|image| image.name).collect();
    if !names.is_empty() && !names.iter().any(|name| logins.has(name)) {
        let registries: BTreeSet<_> = names.iter().map(|it| it.registry().as_str()).collect();
        let registries = registries.into_iter().collect::<Vec<_>>().join(", ");
        return Err(NoLogin::Missing(FIELD, registries));
    }
    match given_out(ctx, token).filter(|name| logins.has(name)) {
        Some(name) if !ctx.service_url.starts_with("https://") => {
            Err(NoLogin::PlainHttp(name.registry().to_string()))
        }
        Some(_) | None => Ok(()),
    }
}

/// Reads Secrets, one by one.
async fn read(ctx: &Context, secrets: &[PullSecret]) -> FoundLogins {
    let (mut all, mut left) = (vec![], LONGEST);
    for secret in secrets {
        secret.check_name()?;
        let api = Api::<Secret>::namespaced(ctx.client.clone(), &secret.namespace);
        let unread = |why: String| NoLogin::Unread(secret.clone(), why);
        let asked = async { api.get(&secret.name).await.ok_if_not_found() };
        let found = match timeout(PATIENCE, asked).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) if lacks_right(&error) => {
                return Err(NoLogin::Forbidden(secret.clone()));
            }
            Ok(Err(error)) => return Err(unread(Chain(&error).to_string())),
            Err(_) => return Err(unread("it does not answer in time".to_owned())),
        };
        let malformed = |why: String| NoLogin::Malformed(secret.clone(), why);
        let content = secret.content(found.as_ref())?;
        left = left.checked_sub(content.len()).ok_or_else(|| {
            malformed(format!(
                "with those before it more than {LONGEST} bytes: name one for these images alone"
            ))
        })?;
        all.push(Logins::parse(content).map_err(|why| malformed(why.to_string()))?);
    }
    Ok(Logins::joined(all))
}
