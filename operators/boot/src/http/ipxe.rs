//! `/ipxe/` and `/ipxe/<uuid>`.

use super::{
    Site,
    choose::{Chosen, choose},
    ignition, private,
};
use crate::{
    config::BootConfig,
    context::Kind,
    fetches::Part,
    view::{canonical_uuid, named},
};
use axum::{
    extract::{Path, State},
    response::Response,
};
use jiff::Timestamp;
use metal_api::IpxeBootConfig;
use metal_core::boot::{
    Refusal,
    config::{Fetched, is_news},
    decision::Method,
    script::{self, Facts},
};
use std::sync::Arc;

/// For a machine that has not said who it is.
pub(super) async fn chain(State(site): State<Arc<Site>>) -> Response {
    let service = site.urls.service.as_deref().ok_or(Refusal::Disabled);
    site.answer("chain", service.map(|service| private(script::chain(service))))
}

/// For a machine that says its UUID, which proves nothing: what is secret is not in here.
pub(super) async fn script(State(site): State<Arc<Site>>, Path(uuid): Path<String>) -> Response {
    let answer = answer(&site, &uuid).await;
    site.answer("ipxe", answer)
}

async fn answer(site: &Site, uuid: &str) -> Result<Response, Refusal> {
    let service = site.urls.service.as_deref().ok_or(Refusal::Disabled)?;
    let chosen = choose(&site.view, Kind::Ipxe, Method::is_ipxe, &site.view.ipxe_of(uuid))?;
    let own = named(chosen.config.spec.ipxe_script_secret_ref.as_ref());
    let response = match own {
        Some(secret) => own_script(site, &chosen, secret).await?,
        None => private(default_script(site, &chosen, service)?),
    };
    if is_news(chosen.config.conditions(), Fetched { script: true, ignition: false }) {
        site.fetches.note(&chosen.reference, chosen.uid(), Part::Script);
    }
    Ok(response)
}

async fn own_script(
    site: &Site,
    chosen: &Chosen<IpxeBootConfig>,
    name: &str,
) -> Result<Response, Refusal> {
    let secret = site.secrets.get(&chosen.reference.namespace, name).await;
    let secret = secret.map_err(|_| Refusal::Unavailable)?;
    let script = secret.and_then(|secret| secret.script.clone());
    let unusable = || Refusal::Unusable { why: format!("Secret {name} has no entry ipxe-script") };
    Ok(private(script.ok_or_else(unusable)?))
}

fn default_script(
    site: &Site,
    chosen: &Chosen<IpxeBootConfig>,
    service: &str,
) -> Result<String, Refusal> {
    let spec = &chosen.config.spec;
    let uuid = canonical_uuid(spec.system_uuid.as_deref().unwrap_or_default());
    let path = match named(spec.ignition_secret_ref.as_ref()) {
        Some(_) => {
            let expires = Timestamp::now() + site.window;
            Some(ignition::path(site, chosen, expires, &uuid)?)
        }
        None => None,
    };
    let facts = Facts {
        service_url: service,
        uuid: &uuid,
        kernel_url: &spec.kernel_url,
        initrd_url: &spec.initrd_url,
        squashfs_url: spec.squashfs_url.as_deref().filter(|url| !url.is_empty()),
        ignition_path: path.as_deref(),
    };
    script::script(&facts).map_err(|error| Refusal::Unusable { why: error.to_string() })
}
