//! `/ipxe/` and `/ipxe/<uuid>`.

use super::{
    AppState,
    identity::Requester,
    ignition, private,
    refusal::refused,
    select::{Chosen, choose},
};
use crate::{config::BootConfig, fetches::Served, view::named};
use axum::{
    extract::{FromRequestParts, Path, State},
    http::{Method as Verb, header, request::Parts},
    response::Response,
};
use jiff::Timestamp;
use metal_api::{IpxeBootConfig, SystemUuid};
use metal_core::boot::{
    Refusal,
    config::{Fetched, is_news},
    decision::Method,
    script::{self, Facts},
};
use std::{convert::Infallible, sync::Arc};

/// For a machine that has not identified itself.
pub(super) async fn chain(State(state): State<Arc<AppState>>) -> Response {
    let service = state.urls.service.as_deref().ok_or(Refusal::Disabled);
    state.answer("chain", service.map(|service| private(script::chain(service))))
}

/// Who asks for a script, and how.
pub(super) struct ScriptRequest {
    asker: Requester,
    /// Whether it only asks what it would get (`HEAD`), which does not count as served.
    only_looks: bool,
    /// Whether the client is iPXE, which shows nothing of a response that is not a script. It asks again
    /// for as long as it is told when (`Retry-After`), and else not at all.
    is_ipxe: bool,
    /// How many times it has asked outside of its window.
    asked: u8,
    /// How many times it has asked for what was not ready, if it was told to wait for that.
    waited: Option<u8>,
}

impl FromRequestParts<Arc<AppState>> for ScriptRequest {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<AppState>,
    ) -> Result<Self, Infallible> {
        let asker = Requester::from_request_parts(parts, state).await?;
        let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let count = |name: &str| {
            let number = parts.uri.query().and_then(|query| query.strip_prefix(name));
            number.map(|number| number.parse().unwrap_or(u8::MAX))
        };
        Ok(Self {
            asker,
            only_looks: parts.method == Verb::HEAD,
            is_ipxe: agent.is_some_and(|agent| agent.starts_with("iPXE/")),
            asked: count("closed=").unwrap_or_default(),
            waited: count("waited="),
        })
    }
}

/// What a machine gets.
enum Answered {
    Script(Response),
    /// Its boot window is open, and there is no script for this reason.
    Nothing(Refusal),
}

/// For a machine that gives its UUID, which proves nothing: the script contains no secrets of its
/// own.
pub(super) async fn script(
    State(state): State<Arc<AppState>>,
    Path(uuid): Path<String>,
    request: ScriptRequest,
) -> Response {
    let uuid = uuid.parse().ok();
    let answer = if request.waited.is_some() || request.asked > 0 {
        // It asks again by itself, and there may be thousands of them: others need the delays.
        answer(&state, &request, uuid).await
    } else {
        state.patiently(&request.asker, || answer(&state, &request, uuid)).await
    };
    let (answer, is_due) = match answer {
        Ok(Answered::Script(script)) => (Ok(script), false),
        Ok(Answered::Nothing(refusal)) => (Err(refusal), true),
        Err(refusal) => {
            let is_due = matches!(refusal, Refusal::NotYet { .. });
            (Err(refusal), is_due)
        }
    };
    state.answer_by("ipxe", answer, |refusal| {
        let script = retry(&state, &request, uuid, is_due, refusal);
        script.unwrap_or_else(|| refused(refusal))
    })
}

/// The script by which iPXE asks again, if it should: `is_due` if it is to boot and not to go on to its disk.
/// One that was told to wait for its boot is not sent there by whatever has happened since.
fn retry(
    state: &AppState,
    request: &ScriptRequest,
    uuid: Option<SystemUuid>,
    is_due: bool,
    refusal: &Refusal,
) -> Option<Response> {
    let service = state.urls.service.as_deref().filter(|_| request.is_ipxe)?;
    let uuid = uuid?.to_string();
    let script = match (request.waited, refusal) {
        (Some(waited), _) => script::waiting(service, &uuid, waited),
        (None, _) if is_due => script::waiting(service, &uuid, 0),
        (None, Refusal::Elsewhere { is_due: true, .. }) => {
            script::elsewhere(service, &uuid, request.asked)
        }
        (None, Refusal::Closed { .. } | Refusal::Elsewhere { .. }) => {
            script::closed(service, &uuid, request.asked)
        }
        (None, _) => return None,
    };
    script.map(private).ok()
}

async fn answer(
    state: &AppState,
    ScriptRequest { asker, only_looks, .. }: &ScriptRequest,
    uuid: Option<SystemUuid>,
) -> Result<Answered, Refusal> {
    let service = state.urls.service.as_deref().ok_or(Refusal::Disabled)?;
    let found = uuid.map(|uuid| state.view.ipxe_of(uuid)).unwrap_or_default();
    let chosen = choose(state, Method::is_ipxe, asker, &found);
    let chosen = state.tell_unknown("ipxe", asker, uuid, chosen)?;
    let own = named(chosen.config.spec.ipxe_script_secret_ref.as_ref());
    let script = match own {
        Some(secret) => own_script(state, &chosen, secret).await,
        None => default_script(state, &chosen, service).map(private),
    };
    let script = match script {
        Ok(script) => script,
        Err(refusal) if chosen.closes.is_some() => return Ok(Answered::Nothing(refusal)),
        Err(refusal) => return Err(refusal),
    };
    let is_news = is_news(chosen.config.conditions(), Fetched { script: true, ignition: false });
    if !only_looks && is_news {
        state.fetches.note(&chosen.reference, chosen.uid(), Served::Script);
    }
    Ok(Answered::Script(script))
}

async fn own_script(
    state: &AppState,
    chosen: &Chosen<IpxeBootConfig>,
    name: &str,
) -> Result<Response, Refusal> {
    let secret = state.secrets.get(&chosen.reference.namespace, name).await;
    let secret = secret.map_err(|_| Refusal::Unavailable)?;
    let script = secret.and_then(|secret| secret.script.clone());
    let unusable = || Refusal::Unusable { why: format!("Secret {name} has no entry ipxe-script") };
    Ok(private(script.ok_or_else(unusable)?))
}

fn default_script(
    state: &AppState,
    chosen: &Chosen<IpxeBootConfig>,
    service: &str,
) -> Result<String, Refusal> {
    let spec = &chosen.config.spec;
    let uuid = chosen.config.uuid().ok_or(Refusal::Unknown)?;
    let path = match named(spec.ignition_secret_ref.as_ref()) {
        Some(_) => {
            let expires = Timestamp::now() + state.window;
            let expires = chosen.closes.map_or(expires, |closes| closes.min(expires));
            Some(ignition::path(state, chosen, expires, uuid)?)
        }
        None => None,
    };
    let facts = Facts {
        service_url: service,
        uuid: &uuid.to_string(),
        kernel_url: &spec.kernel_url,
        initrd_url: &spec.initrd_url,
        squashfs_url: spec.squashfs_url.as_deref().filter(|url| !url.is_empty()),
        ignition_path: path.as_deref(),
    };
    script::script(&facts).map_err(|error| Refusal::Unusable { why: error.to_string() })
}
