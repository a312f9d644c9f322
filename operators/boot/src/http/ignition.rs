//! `/ignition/t/<token>/<uuid>` and `/ignition/…/<uuid>`.

use super::{
    AppState,
    identity::Requester,
    is_of_a_place, private,
    select::{Chosen, choose},
};
use crate::{
    args::ByUuid,
    boot_secret::Payload,
    config::{BootConfig, owner},
    fetches::Served,
    view::named,
};
use axum::{
    extract::{Path, State},
    http::Method as Verb,
    response::Response,
};
use jiff::Timestamp;
use metal_api::{IpxeBootConfig, SystemUuid};
use metal_core::{
    boot::{
        Refusal,
        config::{Fetched, is_news},
        decision::Method,
    },
    capability::{Claims, Key, Purpose, issue, verify, verify_short},
};
use std::sync::Arc;

/// The client, and how it asks.
struct IgnitionRequest<'a> {
    token: Option<&'a str>,
    asker: Requester,
    /// Whether it only asks what it would get (`HEAD`), which does not count as a fetch.
    only_looks: bool,
}

pub(super) async fn ignition(
    State(state): State<Arc<AppState>>,
    Path(path): Path<String>,
    by: Requester,
    verb: Verb,
) -> Response {
    let (token, uuid) = parse(&path);
    let asked = IgnitionRequest { token, asker: by, only_looks: verb == Verb::HEAD };
    // Ignition repeats what is not ready by itself, and a fleet of it would leave no delays to others.
    let ask = || answer(&state, &asked, uuid);
    let answer = state.patiently_while(&asked.asker, is_of_a_place, ask).await;
    state.answer("ignition", answer)
}

async fn answer(
    state: &AppState,
    asked: &IgnitionRequest<'_>,
    named: Option<SystemUuid>,
) -> Result<Response, Refusal> {
    let uuid = asked.token.and_then(|token| uuid_of(state, token)).or(named);
    let ipxe = uuid.map(|uuid| state.view.ipxe_of(uuid)).unwrap_or_default();
    let http = uuid.map(|uuid| state.view.http_of(uuid)).unwrap_or_default();
    let ipxe = choose(state, Method::is_ipxe, &asked.asker, &ipxe);
    let http = choose(state, Method::is_uki, &asked.asker, &http);
    let answer = match (ipxe, http) {
        // Boots with a script of ours have a token.
        (Ok(ipxe), _) => {
            admit(state, &ipxe, asked, is_unscripted(&ipxe.config))?;
            fetch(state, &ipxe, asked).await
        }
        (Err(Refusal::Unknown | Refusal::NotCurrent), Ok(http)) => {
            admit(state, &http, asked, true)?;
            fetch(state, &http, asked).await
        }
        (Err(Refusal::Unknown), Err(refusal)) | (Err(refusal), _) => Err(refusal),
    };
    state.tell_unknown("ignition", &asked.asker, uuid, answer)
}

/// The UUID of the server that a token is for. It counts more than that in the path, which is the one
/// that the firmware of the machine knows.
fn uuid_of(state: &AppState, token: &str) -> Option<SystemUuid> {
    let (keys, now) = ([state.key().ok()?], Timestamp::now());
    let claims = verify(&keys, token, Purpose::Ignition, now).or_else(|_| {
        verify_short(&keys, token, Purpose::Uki, now, |boot| state.view.server_of_boot(boot))
    });
    let server = state.view.servers.named(None, &claims.ok()?.server)?;
    server.spec.effective_uuid()
}

/// Path of the ignition of a boot, with a token that is valid until `expires`.
pub(super) fn path<K>(
    state: &AppState,
    chosen: &Chosen<K>,
    expires: Timestamp,
    uuid: SystemUuid,
) -> Result<String, Refusal> {
    let claims = Claims {
        purpose: Purpose::Ignition,
        server: chosen.server.clone(),
        boot: chosen.boot.clone(),
        expires,
    };
    let token = issue(&state.key()?, &claims);
    let token = token.map_err(|error| Refusal::Unusable { why: error.to_string() })?;
    Ok(format!("ignition/t/{}/{uuid}", token.as_str()))
}

/// Token and UUID in a path; anything before them is ignored.
fn parse(path: &str) -> (Option<&str>, Option<SystemUuid>) {
    let mut segments = path.rsplit('/');
    let uuid = segments.next().and_then(|uuid| uuid.parse().ok());
    let token = segments.next().filter(|_| segments.next() == Some("t"));
    (token, uuid)
}

/// Whether the machine gets a script that is not ours, and so has no token.
fn is_unscripted(config: &IpxeBootConfig) -> bool {
    named(config.spec.ipxe_script_secret_ref.as_ref()).is_some()
}

/// Whether the client may have the ignition of this boot.
fn admit<K: BootConfig>(
    state: &AppState,
    chosen: &Chosen<K>,
    asked: &IgnitionRequest<'_>,
    is_unscripted: bool,
) -> Result<(), Refusal> {
    let may = match asked.token {
        Some(token) => is_of(&state.key()?, chosen, token),
        None => match state.by_uuid {
            ByUuid::Never => false,
            ByUuid::Unscripted => is_unscripted,
            ByUuid::Always => true,
        },
    };
    if may { Ok(()) } else { Err(Refusal::Forbidden) }
}

/// Whether a token is for this very boot: that of a script or a medium, or that in the URL of a
/// UKI.
fn is_of<K>(key: &Key, chosen: &Chosen<K>, token: &str) -> bool {
    let (keys, now) = (std::slice::from_ref(key), Timestamp::now());
    let claims = verify(keys, token, Purpose::Ignition, now).or_else(|_| {
        let server_of = |boot: &str| (boot == chosen.boot).then(|| chosen.server.clone());
        verify_short(keys, token, Purpose::Uki, now, server_of)
    });
    claims.is_ok_and(|claims| claims.boot == chosen.boot && claims.server == chosen.server)
}

/// The ignition. Only one that is given counts as a fetch: a machine repeats its request while there is
/// none, and gives up when it is told that it has asked too often.
async fn fetch<K: BootConfig>(
    state: &AppState,
    chosen: &Chosen<K>,
    asked: &IgnitionRequest<'_>,
) -> Result<Response, Refusal> {
    let bytes = payload(state, chosen).await;
    let bytes = bytes.inspect_err(|refusal| look_again(state, chosen, refusal))?;
    if asked.only_looks {
        return Ok(private(bytes));
    }
    if !state.fetch_limit.admits(&chosen.boot, asked.token, asked.asker.address()) {
        return Err(Refusal::TooMany);
    }
    if is_news(chosen.config.conditions(), Fetched { script: false, ignition: true }) {
        state.fetches.note(&chosen.reference, chosen.uid(), Served::Ignition);
    }
    Ok(private(bytes))
}

/// Has the boot config looked at again whose ignition is gone, or cannot be used any longer: where Secrets
/// are not watched, nobody else tells its owner why the host does not come up. One that a person made would
/// no longer be served, and firmware would go on to the disk.
fn look_again<K: BootConfig>(state: &AppState, chosen: &Chosen<K>, refusal: &Refusal) {
    let is_owned = owner(chosen.config.meta()).is_some();
    let is_promised = is_owned && named(chosen.config.ignition()).is_some();
    if is_promised && matches!(refusal, Refusal::NoContent | Refusal::Unusable { .. }) {
        state.fetches.queue.add(chosen.reference.clone());
    }
}

async fn payload<K: BootConfig>(
    state: &AppState,
    chosen: &Chosen<K>,
) -> Result<bytes::Bytes, Refusal> {
    let name = named(chosen.config.ignition()).ok_or(Refusal::NoContent)?;
    let secret = state.secrets.get(&chosen.reference.namespace, name).await;
    let secret = secret.map_err(|_| Refusal::Unavailable)?.ok_or(Refusal::NoContent)?;
    match &secret.ignition {
        Payload::Missing => Err(Refusal::NoContent),
        Payload::Broken(why) => Err(Refusal::Unusable { why: why.clone() }),
        Payload::Usable(bytes) => Ok(bytes.clone()),
    }
}
