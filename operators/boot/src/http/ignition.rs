//! `/ignition/t/<token>/<uuid>` and `/ignition/…/<uuid>`.

use super::{
    Site,
    choose::{Chosen, choose},
    private,
};
use crate::{
    args::ByUuid, config::BootConfig, context::Kind, fetches::Part, secrets::Payload, view::named,
};
use axum::{
    extract::{Path, State},
    response::Response,
};
use jiff::Timestamp;
use metal_api::IpxeBootConfig;
use metal_core::{
    boot::{
        Refusal,
        config::{Fetched, is_news},
        decision::Method,
    },
    capability::{Claims, Purpose, issue, verify},
    system_uuid::is_placeholder_text,
};
use std::sync::Arc;

pub(super) async fn ignition(State(site): State<Arc<Site>>, Path(path): Path<String>) -> Response {
    let answer = answer(&site, &path).await;
    site.answer("ignition", answer)
}

async fn answer(site: &Site, path: &str) -> Result<Response, Refusal> {
    let (token, uuid) = parse(path);
    if token.is_none() && is_placeholder_text(uuid) {
        return Err(Refusal::Unknown);
    }
    let ipxe = choose(&site.view, Kind::Ipxe, Method::is_ipxe, &site.view.ipxe_of(uuid));
    let http = choose(&site.view, Kind::Http, Method::is_uki, &site.view.http_of(uuid));
    match (ipxe, http) {
        (Ok(ipxe), http) => {
            let others = http.is_ok();
            admit(site, &ipxe, token, is_unscripted(&ipxe.config) || others)?;
            payload(site, &ipxe).await
        }
        (Err(Refusal::Unknown | Refusal::NotCurrent), Ok(http)) => {
            admit(site, &http, token, true)?;
            payload(site, &http).await
        }
        (Err(Refusal::Unknown), Err(refusal)) | (Err(refusal), _) => Err(refusal),
    }
}

/// Path of the ignition of a boot, with a token that is good until `expires`.
pub(super) fn path<K>(
    site: &Site,
    chosen: &Chosen<K>,
    expires: Timestamp,
    uuid: &str,
) -> Result<String, Refusal> {
    let claims = Claims {
        purpose: Purpose::Ignition,
        server: chosen.server.clone(),
        boot: chosen.boot.clone(),
        expires,
    };
    let token = issue(&site.key, &claims);
    let token = token.map_err(|error| Refusal::Unusable { why: error.to_string() })?;
    Ok(format!("ignition/t/{}/{uuid}", token.as_str()))
}

/// Token and UUID of a path, of which whatever comes before is not looked at.
fn parse(path: &str) -> (Option<&str>, &str) {
    let mut segments = path.rsplit('/');
    let uuid = segments.next().unwrap_or_default();
    let token = segments.next().filter(|_| segments.next() == Some("t"));
    (token, uuid)
}

/// Whether the machine gets a script that is not ours, which carries no token of ours.
fn is_unscripted(config: &IpxeBootConfig) -> bool {
    named(config.spec.ipxe_script_secret_ref.as_ref()).is_some()
}

/// Whether whoever asks may have the ignition of this boot.
fn admit<K: BootConfig>(
    site: &Site,
    chosen: &Chosen<K>,
    token: Option<&str>,
    is_unscripted: bool,
) -> Result<(), Refusal> {
    let may = match token {
        Some(token) => {
            let keys = std::slice::from_ref(&site.key);
            let claims = verify(keys, token, Purpose::Ignition, Timestamp::now());
            let claims = claims.map_err(|_| Refusal::Forbidden)?;
            claims.boot == chosen.boot && claims.server == chosen.server
        }
        None => match site.by_uuid {
            ByUuid::Never => false,
            ByUuid::Unscripted => is_unscripted,
            ByUuid::Always => true,
        },
    };
    if !may {
        return Err(Refusal::Forbidden);
    }
    if site.gate.admits(&chosen.boot) { Ok(()) } else { Err(Refusal::TooMany) }
}

async fn payload<K: BootConfig>(site: &Site, chosen: &Chosen<K>) -> Result<Response, Refusal> {
    let name = named(chosen.config.ignition()).ok_or(Refusal::NoContent)?;
    let secret = site.secrets.get(&chosen.reference.namespace, name).await;
    let secret = secret.map_err(|_| Refusal::Unavailable)?.ok_or(Refusal::NoContent)?;
    let bytes = match &secret.ignition {
        Payload::Missing => return Err(Refusal::NoContent),
        Payload::Broken(why) => return Err(Refusal::Unusable { why: why.clone() }),
        Payload::Usable(bytes) => bytes.clone(),
    };
    if is_news(chosen.config.conditions(), Fetched { script: false, ignition: true }) {
        site.fetches.note(&chosen.reference, chosen.uid(), Part::Ignition);
    }
    Ok(private(bytes))
}
