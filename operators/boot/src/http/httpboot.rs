//! `/httpboot`: which UKI a machine gets; requested by a DHCP server on its behalf.

use super::{
    AppState, DefaultUki,
    identity::{Peer, Requester, identifiers},
    refusal::plain,
    select::choose,
};
use crate::{
    blob_refs::BlobRef,
    config::owner,
    view::{ConfigKey, as_address, canonical_address},
};
use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use metal_api::{HttpBootConfig, MacAddr};
use metal_core::boot::{Refusal, decision::Method, url};
use metal_runtime::report::Chain;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub(super) async fn httpboot(
    State(state): State<Arc<AppState>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
) -> Response {
    let peer = peer.map(|Extension(peer)| peer);
    let (asker, identifiers) =
        identifiers(peer, &headers, &state.dhcp_servers, &state.trusted_proxies);
    let answer = state.patiently(&asker, || answer(&state, &asker, &identifiers)).await;
    state.answer("httpboot", answer)
}

async fn answer(
    state: &AppState,
    asker: &Requester,
    identifiers: &[String],
) -> Result<Response, Refusal> {
    if !state.view.may_answer() {
        return Err(Refusal::Starting);
    }
    let mut body = BTreeMap::from([("ClientIPs", identifiers.join(","))]);
    let found = of_machine(state, identifiers);
    if !found.is_empty() {
        let chosen = choose(state, Method::is_http, asker, &found)?;
        let spec = &chosen.config.spec;
        body.insert("SystemUUID", spec.system_uuid.clone().unwrap_or_default());
        body.insert("UKIURL", spec.uki_url.clone().unwrap_or_default());
        return Ok(Json(body).into_response());
    }
    // Until everything has been listed, nobody is unknown: the default image must not replace that
    // of a server.
    if !state.view.is_ready() {
        return Err(Refusal::Starting);
    }
    // A machine with an invalid address may be a server: the default image must not replace its
    // own.
    if identifiers.iter().any(|identifier| as_address(identifier).is_none()) {
        return Err(Refusal::Misnamed);
    }
    // A server whose boot has no UKI goes on to its next boot device, as netboot tells it to.
    if !state.view.servers_at(identifiers, Timestamp::now()).is_empty() {
        return Err(Refusal::NotCurrent);
    }
    match default_url(state).await? {
        Some(url) => {
            body.insert("UKIURL", url);
            Ok(Json(body).into_response())
        }
        None => Ok(plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "HTTP boot is not configured (missing default UKI)",
        )),
    }
}

/// The boot configs of the machine with these addresses. IP addresses in the inventory of a server may be those
/// of another machine by now: one whose MAC addresses are others is not asking.
fn of_machine(state: &AppState, identifiers: &[String]) -> Vec<Arc<HttpBootConfig>> {
    let macs = mac_addresses(identifiers);
    let found = identifiers.iter().map(|identifier| {
        let mut found = state.view.http.get(&ConfigKey::Address(canonical_address(identifier)));
        found.retain(|config| macs.is_empty() || !is_of_another(config, &macs));
        found
    });
    found.into_iter().find(|found| !found.is_empty()).unwrap_or_default()
}

/// Whether a boot config was made for a server that has none of these MAC addresses.
fn is_of_another(config: &HttpBootConfig, macs: &BTreeSet<MacAddr>) -> bool {
    let its = mac_addresses(&config.spec.network_identifiers);
    owner(&config.metadata).is_some() && !its.is_empty() && its.is_disjoint(macs)
}

fn mac_addresses(identifiers: &[String]) -> BTreeSet<MacAddr> {
    identifiers.iter().filter_map(|text| canonical_address(text).parse().ok()).collect()
}

async fn default_url(state: &AppState) -> Result<Option<String>, Refusal> {
    match &state.default_uki {
        DefaultUki::None => Ok(None),
        DefaultUki::Url(url) => Ok(Some(url.clone())),
        DefaultUki::Image(_) => {
            let unusable = |why: String| Refusal::Unusable { why };
            let (name, digest) = default_blob(state).await.map_err(unusable)?;
            let images = state.urls.images.as_deref();
            let images = images.ok_or_else(|| unusable("--image-server-url is not set".into()))?;
            Ok(Some(url::uki(images, &name.to_string(), &digest.to_string())))
        }
    }
}

/// The UKI of the default image.
pub(super) async fn default_blob(state: &AppState) -> Result<BlobRef, String> {
    let DefaultUki::Image(image) = &state.default_uki else {
        return Err("no default image is configured".to_owned());
    };
    let logins = state.logins.get().await;
    let resolved = state.images.resolve_as(image, &state.architecture, &logins).await;
    let resolved = resolved.map_err(|error| format!("{image}: {}", Chain(&error)))?;
    let uki = resolved.uki.as_ref().map_err(|missing| format!("{image}: {missing}"))?;
    Ok((resolved.name.clone(), uki.digest.clone()))
}
