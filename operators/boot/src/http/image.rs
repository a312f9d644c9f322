//! `/image` and `/httpboot/<image>/<digest>`: layers of images.

use super::{
    AppState, DefaultUki,
    httpboot::default_blob,
    identity::Requester,
    refusal::{log_unavailable, plain},
    select::{choose, of_boot},
};
use crate::{
    blob_refs::{self, BlobRef},
    config::BootConfig as _,
    view::ConfigKey,
};
use axum::{
    body::Body,
    extract::{FromRequestParts, Query, State, rejection::QueryRejection},
    http::{HeaderMap, Method as Verb, StatusCode, request::Parts},
    response::Response,
};
use jiff::Timestamp;
use metal_core::{
    boot::{Refusal, decision::Method, url},
    capability::{Claims, Purpose, verify_short},
};
use metal_image::{
    Content, Logins, Reference, registry, respond,
    store::{Account, Blob, Error, Puller},
};
use metal_runtime::report::Chain;
use std::{
    collections::{BTreeSet, HashMap},
    convert::Infallible,
    sync::Arc,
};

/// What is served, as metrics and clients see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resource {
    /// The label in metrics.
    pub(super) endpoint: &'static str,
    pub(super) content_type: &'static str,
}

/// Firmware recognizes UKIs by content type, or by extension.
pub(super) const EFI: &str = "application/efi";
pub(super) const BINARY: &str = "application/octet-stream";
const LAYER: Resource = Resource { endpoint: "image", content_type: BINARY };
/// How many versions of an image are searched for the size of a blob.
const CANDIDATES: usize = 8;

/// Who asks for content, and for which part of it.
pub(super) struct ContentRequest {
    pub(super) asker: Requester,
    method: Verb,
    headers: HeaderMap,
}

impl FromRequestParts<Arc<AppState>> for ContentRequest {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<AppState>,
    ) -> Result<Self, Infallible> {
        let asker = Requester::from_request_parts(parts, state).await?;
        Ok(Self { asker, method: parts.method.clone(), headers: parts.headers.clone() })
    }
}

/// A layer for iPXE.
pub(super) async fn layer(
    State(state): State<Arc<AppState>>,
    query: Result<Query<HashMap<String, String>>, QueryRejection>,
    request: ContentRequest,
) -> Response {
    let asker = &request.asker;
    let answer = match query.ok().and_then(|query| named(&query)) {
        // If it is a UKI, it is only served to those whose boot it is for.
        Some(blob) => match state.patiently(asker, || of_anybody(&state, asker, &blob)).await {
            Ok(()) => blob_of(&state, &blob).await,
            Err(refusal) => Err(refusal.into()),
        },
        None => Err(Refused::Refusal(Refusal::NoContent)),
    };
    finish(&state, LAYER, answer, &request)
}

/// Whether the UKI at a URL is requested by the machine that the URL is for.
pub(super) async fn linked(
    state: &AppState,
    asker: &Requester,
    path: &str,
    blob: &BlobRef,
) -> Result<(), Refusal> {
    match url::split_token(path).0 {
        Some(token) => of_token(state, asker, token, blob),
        None => of_anybody(state, asker, blob).await,
    }
}

/// A URL with a token is for one boot of one server, in its window.
fn of_token(
    state: &AppState,
    asker: &Requester,
    token: &str,
    blob: &BlobRef,
) -> Result<(), Refusal> {
    let claims = claims(state, token)?;
    let (chosen, _) = of_boot(state, &claims, Method::is_http, asker)?;
    let named = blob_refs::blobs(chosen.config.spec.uki_url.as_deref());
    if !named.contains(blob) {
        return Err(Refusal::NotCurrent);
    }
    state.loaders.loaded(asker, claims);
    Ok(())
}

/// What the token in the URL of a UKI is for.
pub(super) fn claims(state: &AppState, token: &str) -> Result<Claims, Refusal> {
    if !state.view.may_answer() {
        return Err(Refusal::Starting);
    }
    let mut is_known = state.view.is_ready();
    let server_of = |boot: &str| {
        let found = state.view.server_of_boot(boot);
        is_known |= found.is_some();
        found
    };
    let claims = verify_short(&[state.key()?], token, Purpose::Uki, Timestamp::now(), server_of);
    let refused = |_| if is_known { Refusal::Forbidden } else { Refusal::Starting };
    claims.map_err(refused)
}

/// A URL without a token is for all servers that boot that UKI: it is served while the window of
/// one of them is open, or if none of them has windows. Blobs that are no server's UKI are not
/// affected.
async fn of_anybody(state: &AppState, asker: &Requester, blob: &BlobRef) -> Result<(), Refusal> {
    let mut closed = None;
    for config in state.view.http.get(&ConfigKey::Uki(blob.clone())) {
        let is_of_a_server = !state.view.servers_of(config.uuid()).is_empty();
        match choose(state, Method::is_uki, asker, &[config]) {
            Ok(_) => return Ok(()),
            Err(refusal @ (Refusal::Closed { .. } | Refusal::Elsewhere { .. })) => {
                closed = Some(refusal);
            }
            // The server does not boot it now, for whatever reason.
            Err(refusal) if is_of_a_server => {
                closed.get_or_insert(refusal);
            }
            // It is for no server, or it is not known for which.
            Err(_) => {}
        }
    }
    match closed {
        Some(refusal) if !is_default(state, blob).await => Err(refusal),
        Some(_) | None => Ok(()),
    }
}

/// Image and digest in a query, which must have both.
fn named(query: &HashMap<String, String>) -> Option<BlobRef> {
    let value = |key: &str| query.get(key).filter(|value| !value.is_empty());
    let (image, digest) = (value("imageName")?, value("layerDigest")?);
    value("version")?;
    let image = image.strip_suffix(".efi").unwrap_or(image);
    blob_refs::parse(&(image.to_owned(), digest.clone()))
}

/// Why there is no blob.
pub(super) enum Refused {
    Refusal(Refusal),
    /// The registry is not allowed.
    NotAllowed,
    Store(Error),
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

/// A blob that may be served.
pub(super) async fn blob_of(state: &AppState, blob: &BlobRef) -> Result<Blob, Refused> {
    state.images.allowed().check(blob.0.registry()).map_err(|_| Refused::NotAllowed)?;
    if !state.blob_refs.contains(blob) && !is_default(state, blob).await {
        let starting = !state.view.is_ready();
        let refusal = if starting { Refusal::Starting } else { Refusal::NoContent };
        return Err(Refused::Refusal(refusal));
    }
    learn_size(state, blob).await;
    open(state, blob, &account_of(state, blob)).await
}

/// A blob that may be served, if its registry is allowed.
pub(super) async fn open(
    state: &AppState,
    blob: &BlobRef,
    account: &Account,
) -> Result<Blob, Refused> {
    let (name, digest) = blob;
    state.images.allowed().check(name.registry()).map_err(|_| Refused::NotAllowed)?;
    // What is there needs no login, and no API server. It may have had to make room a moment ago.
    let nobody = Puller { logins: &Logins::default(), account };
    if state.store.is_complete(digest)
        && let Ok(opened) = state.store.open_for_all(name, digest, nobody).await
    {
        return Ok(opened);
    }
    let logins = state.logins.get().await;
    let puller = Puller { logins: &logins, account };
    match state.store.open_for_all(name, digest, puller).await {
        Ok(opened) => Ok(opened),
        Err(error) => {
            note(state, blob, &error).await;
            Err(Refused::Store(error))
        }
    }
}

/// Notes on the boot configs that refer to a blob why nobody gets it, if that does not pass by itself:
/// their machines would ask forever, and their owners do not see our log.
async fn note(state: &AppState, blob: &BlobRef, error: &Error) {
    let is_lasting = match error {
        // A token service that fails may only be away.
        Error::Registry(error) => {
            !error.is_transient() && !matches!(error, registry::Error::Token { .. })
        }
        Error::Size { .. } | Error::Large { .. } => true,
        Error::Full { .. }
        | Error::Share { .. }
        | Error::Abandoned
        | Error::Disk(_)
        | Error::Deadline
        | Error::Shutdown => false,
    };
    // A rack asks for it every few seconds, and all boot configs are looked through.
    let about = format!("{} {}", blob.1, blob.0);
    if !is_lasting || state.told.again(&about, "LayerMissing").is_none() {
        return;
    }
    let hint = match error {
        Error::Registry(error) => state.logins.hint(error).await,
        _ => String::new(),
    };
    let (digest, error) = (&blob.1, Chain(error));
    let why = format!("layer {digest} cannot be had, so the host does not boot: {error}{hint}");
    for holder in state.blob_refs.holders(blob) {
        state.fetches.miss(&holder, blob, &why);
    }
}

/// On whose account a blob is fetched that is not there yet: that of the only namespace whose boot configs
/// refer to it; if there are several, that of its repository. The image of those without a boot config has
/// no limits. Whoever asks for one that is on its way has it fetched as well, on the same account.
pub(super) fn account_of(state: &AppState, blob: &BlobRef) -> Account {
    let (name, digest) = blob;
    if state.store.is_complete(digest) {
        return Account::default();
    }
    let holders = state.blob_refs.holders(blob).into_iter();
    let namespaces: BTreeSet<_> = holders.map(|holder| holder.namespace).collect();
    match namespaces.first() {
        None => Account::default(),
        Some(namespace) if namespaces.len() == 1 => Account::of(namespace),
        Some(_) => Account::of(&name.to_string()),
    }
}

/// Reads the manifests that contain the size of a blob to be fetched, unless one has been read:
/// after a start, boot configs exist, but nothing is known of their images.
async fn learn_size(state: &AppState, (name, digest): &BlobRef) {
    if state.store.holds(digest) || state.store.knows_size(name, digest).is_some() {
        return;
    }
    let configurations = state.view.configurations.all();
    let images = configurations.iter().filter_map(|it| it.spec.image.as_deref());
    let is_of = |image: &&str| image.parse::<Reference>().is_ok_and(|it| it.name == *name);
    let images: BTreeSet<_> = images.filter(is_of).take(CANDIDATES).collect();
    let logins = state.logins.get().await;
    for image in images {
        // If this fails, the blob is fetched all the same, and its size is known later.
        state.images.resolve_as(image, &state.architecture, &logins).await.ok();
        if state.store.knows_size(name, digest).is_some() {
            return;
        }
    }
}

async fn is_default(state: &AppState, blob: &BlobRef) -> bool {
    matches!(state.default_uki, DefaultUki::Image(_))
        && default_blob(state).await.is_ok_and(|default| default == *blob)
}

/// The response with the content, or with the reason why there is none.
pub(super) fn finish(
    state: &AppState,
    Resource { endpoint, content_type }: Resource,
    answer: Result<impl Content, Refused>,
    ContentRequest { method, headers, .. }: &ContentRequest,
) -> Response {
    let answer = match answer {
        Ok(content) => Ok(respond(method, headers, &content, content_type).map(Body::from_stream)),
        Err(Refused::Refusal(refusal)) => Err(refusal),
        Err(Refused::NotAllowed) => {
            Ok(plain(StatusCode::FORBIDDEN, "Forbidden: Registry not allowed"))
        }
        Err(Refused::Store(error)) => {
            log_unavailable(&state.told, endpoint, &error);
            let (status, text) = said(&error);
            Ok(plain(status, text))
        }
    };
    state.answer(endpoint, answer)
}

/// Status and text for an error, in ironcore's words if it has any.
fn said(error: &Error) -> (StatusCode, &'static str) {
    use registry::Error as Registry;
    match error {
        Error::Registry(Registry::NoImage { .. } | Registry::NoBlob { .. }) => {
            (StatusCode::NOT_FOUND, "Resource Not Found")
        }
        Error::Registry(
            Registry::LoginNeeded { .. }
            | Registry::LoginRefused { .. }
            | Registry::Elsewhere { .. }
            | Registry::Token { .. },
        ) => (StatusCode::UNAUTHORIZED, "Authentication failed"),
        Error::Registry(Registry::RateLimited { .. }) => {
            (StatusCode::TOO_MANY_REQUESTS, "the registry is rate-limiting requests")
        }
        Error::Registry(_) | Error::Size { .. } => {
            (StatusCode::BAD_GATEWAY, "Registry detection failed")
        }
        Error::Deadline => (StatusCode::GATEWAY_TIMEOUT, "the registry took too long"),
        Error::Full { .. } | Error::Share { .. } => {
            (StatusCode::INSUFFICIENT_STORAGE, "the image cache is full")
        }
        Error::Large { .. } => {
            (StatusCode::INSUFFICIENT_STORAGE, "the layer is larger than half of the image cache")
        }
        Error::Disk(_) => (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
        Error::Abandoned => (StatusCode::SERVICE_UNAVAILABLE, "try again"),
        Error::Shutdown => (StatusCode::SERVICE_UNAVAILABLE, "shutting down"),
    }
}
