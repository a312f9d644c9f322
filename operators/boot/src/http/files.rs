//! Files of an image beside its UKI. Where the image has a loader in the place of a UKI, that loader
//! asks for more: shim for `grubx64.efi` in the folder of its own URL, and GRUB for `/grub/grub.cfg`.
//!
//! They are for the machine that boots the image, in its window, at its address, as the UKI is.

use super::{
    AppState,
    identity::Requester,
    image::{BINARY, ContentRequest, EFI, Resource, claims, finish, open},
    select::{Chosen, choose, of_boot},
};
use crate::{
    blob_refs::{self, BlobRef},
    config_ref::named,
    view::{ConfigKey, ConfigurationKey, canonical_address},
};
use axum::{
    extract::{Path, State},
    response::Response,
};
use jiff::Timestamp;
use metal_api::HttpBootConfig;
use metal_core::boot::{Refusal, configuration::manifest, decision::Method, url};
use metal_image::store::Account;
use metal_runtime::report::Chain;
use std::sync::Arc;

/// The folder in which GRUB of Debian looks for its configuration, wherever it was loaded
/// from.
const GRUB: &str = "grub";

/// A file at a URL with a token.
pub(super) async fn beside(state: &AppState, path: &str, request: &ContentRequest) -> Response {
    let file = state.patiently(&request.asker, || linked(state, &request.asker, path)).await;
    served(state, resource("file", path), file, request).await
}

/// A file in the folder of GRUB: nothing in the URL says for which machine.
pub(super) async fn grub(
    State(state): State<Arc<AppState>>,
    Path(path): Path<String>,
    request: ContentRequest,
) -> Response {
    let (path, asker) = (format!("{GRUB}/{path}"), &request.asker);
    let file = state.patiently(asker, || at_its_address(&state, asker, &path)).await;
    served(&state, resource(GRUB, &path), file, &request).await
}

fn resource(endpoint: &'static str, path: &str) -> Resource {
    let extension = std::path::Path::new(path).extension();
    let is_program = extension.is_some_and(|it| it.eq_ignore_ascii_case("efi"));
    Resource { endpoint, content_type: if is_program { EFI } else { BINARY } }
}

async fn served(
    state: &AppState,
    resource: Resource,
    file: Result<BlobRef, Refusal>,
    request: &ContentRequest,
) -> Response {
    let answer = match file {
        // No boot config names it, so its repository pays.
        Ok(blob) => open(state, &blob, &Account::of(&blob.0.to_string())).await,
        Err(refusal) => Err(refusal.into()),
    };
    finish(state, resource, answer, request)
}

async fn linked(state: &AppState, asker: &Requester, path: &str) -> Result<BlobRef, Refusal> {
    let (Some(token), rest) = url::split_token(path) else { return Err(Refusal::NoContent) };
    let claims = claims(state, token)?;
    let (chosen, _) = of_boot(state, &claims, Method::is_http, asker)?;
    let (name, uki) = uki_of(&chosen)?;
    let file = rest.strip_prefix(&name.to_string()).filter(|file| file.starts_with('/'));
    // shim asks for `//grubx64.efi`.
    let file = file.ok_or(Refusal::NoContent)?.trim_start_matches('/');
    let file = of_image(state, &chosen, (name, uki), file).await?;
    state.loaders.loaded(asker, claims);
    Ok(file)
}

/// A file of the boot whose token was shown from this address, or else of the machine that is known to
/// have it.
async fn at_its_address(
    state: &AppState,
    asker: &Requester,
    file: &str,
) -> Result<BlobRef, Refusal> {
    let shown = state.loaders.shown(asker);
    let shown = shown.and_then(|claims| of_boot(state, &claims, Method::is_http, asker).ok());
    let chosen = match shown {
        Some((chosen, _)) => chosen,
        None => choose(state, Method::is_http, asker, &known_at(state, asker))?,
    };
    let uki = uki_of(&chosen)?;
    of_image(state, &chosen, uki, file).await
}

/// The boot configs of machines that have the address. That in an inventory may have been leased to another one
/// since.
fn known_at(state: &AppState, asker: &Requester) -> Vec<Arc<HttpBootConfig>> {
    let addresses = asker.addresses();
    let servers = state.view.servers_at(&addresses, Timestamp::now());
    let uuids = servers.iter().filter_map(|server| server.spec.effective_uuid());
    let mut found: Vec<_> = uuids.flat_map(|uuid| state.view.http_of(uuid)).collect();
    for address in addresses.iter().filter(|_| servers.is_empty()) {
        found.extend(state.view.http.get(&ConfigKey::Address(canonical_address(address))));
    }
    found.sort_unstable_by_key(|config| named(&**config));
    found.dedup_by_key(|config| named(&**config));
    found
}

fn uki_of(chosen: &Chosen<HttpBootConfig>) -> Result<BlobRef, Refusal> {
    let named = blob_refs::blobs(chosen.config.spec.uki_url.as_deref());
    named.into_iter().next().ok_or(Refusal::NoContent)
}

/// The file of this name in the image that a boot has its UKI from.
async fn of_image(
    state: &AppState,
    chosen: &Chosen<HttpBootConfig>,
    (name, uki): BlobRef,
    file: &str,
) -> Result<BlobRef, Refusal> {
    let boots = state.view.configurations.get(&ConfigurationKey::Uid(chosen.boot.clone()));
    let image = boots.first().and_then(|boot| boot.spec.image.as_deref());
    let image = image.ok_or(Refusal::NoContent)?;
    // The tag may stand for another image by now.
    let found = manifest(&chosen.config).map(|digest| format!("{name}@{digest}"));
    let image = found.as_deref().unwrap_or(image);
    let logins = state.logins.get().await;
    let resolved = state.images.resolve_as(image, &state.architecture, &logins).await;
    let resolved = resolved
        .map_err(|error| Refusal::Unusable { why: format!("{image}: {}", Chain(&error)) })?;
    if resolved.name != name || resolved.uki.as_ref().map(|it| &it.digest) != Ok(&uki) {
        return Err(Refusal::NotCurrent);
    }
    let file = state.images.file(&resolved, file).ok_or(Refusal::NoContent)?;
    Ok((name, file.digest.clone()))
}
