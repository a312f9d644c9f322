//! Serves machines over HTTP.
//!
//! All routes are available on both listeners, because Deployments of ironcore publish only one of
//! them. Requests are answered from what the watches have delivered; nothing is written.

mod client_address;
mod delays;
mod files;
mod httpboot;
mod identity;
mod ignition;
mod image;
mod ipxe;
mod loaders;
mod media;
mod refusal;
mod select;
#[cfg(test)]
mod tests;
mod uki;

pub(crate) use delays::Delays;
pub(crate) use loaders::Loaders;
pub(crate) use refusal::RefusalLog;

use crate::{
    args::{Addresses, ByUuid, OutsideWindow, Urls},
    blob_refs::ReferencedBlobs,
    config_ref::ConfigRef,
    fetch_limit::FetchLimit,
    fetches::Fetches,
    pull_secret::RegistryLogins,
    secrets::Secrets,
    view::View,
    windows::Windows,
};
use axum::{
    Router,
    http::{Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use identity::Requester;
use ipnet::IpNet;
use jiff::Timestamp;
use kube::ResourceExt as _;
use metal_api::SystemUuid;
use metal_core::{
    boot::{Refusal, url},
    capability::Key,
};
use metal_image::{Resolver, Store};
use metal_runtime::Deferred;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use refusal::refused;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// What the handlers share.
pub(crate) struct AppState {
    /// What is known of the cluster.
    pub view: Arc<View>,
    /// Secrets of boots.
    pub secrets: Arc<Secrets>,
    /// Images.
    pub images: Arc<Resolver>,
    /// Logins for their registries.
    pub logins: Arc<RegistryLogins>,
    /// Layers of images.
    pub store: Store,
    /// Layers that boot configs refer to.
    pub blob_refs: Arc<ReferencedBlobs<ConfigRef>>,
    /// What was served.
    pub fetches: Arc<Fetches>,
    /// Limits the fetches of ignitions.
    pub fetch_limit: FetchLimit,
    /// Key of ignition tokens, once it is known.
    pub key: Deferred<Key>,
    /// Validity of an ignition token, unless its boot window ends earlier.
    pub window: Duration,
    /// Who gets an ignition without a token.
    pub by_uuid: ByUuid,
    /// What a server gets outside of its boot window.
    pub outside: OutsideWindow,
    /// The addresses from which a server may fetch what it boots.
    pub addresses: Addresses,
    /// How long a refusal may be delayed: [`PATIENCE`].
    pub patience: Duration,
    /// The refusals that are being delayed.
    pub delays: Delays,
    /// Which loaders were served where.
    pub loaders: Loaders,
    /// What was logged recently.
    pub told: RefusalLog,
    /// How long windows have been open.
    pub windows: Windows,
    /// The URLs at which machines reach this process.
    pub urls: Urls,
    /// What machines without a boot config get by UEFI HTTP boot.
    pub default_uki: DefaultUki,
    /// Architecture of the servers.
    pub architecture: String,
    /// Networks of trusted proxies.
    pub trusted_proxies: Vec<IpNet>,
    /// Networks of DHCP servers that ask on behalf of machines.
    pub dhcp_servers: Vec<IpNet>,
    /// Number of answers.
    pub answers: Family<Answer, Counter>,
}

/// What machines without a boot config get by UEFI HTTP boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DefaultUki {
    /// Nothing.
    None,
    /// What is at this URL.
    Url(String),
    /// The UKI of this image.
    Image(String),
}

/// How long it may take until a lease that netboot has just assigned is known here. Less than the
/// time that firmware waits for an answer (5 s).
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);
/// How many times to check during that time.
const LOOKS: u32 = 3;

/// Labels of [`AppState::answers`]: from a fixed set.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Answer {
    endpoint: &'static str,
    status: u16,
    reason: &'static str,
}

/// Every route.
pub(crate) fn router(state: Arc<AppState>) -> Router {
    Router::new()
        .route("/ipxe", get(|| async { moved("/ipxe/".to_owned()) }))
        .route("/ipxe/", get(ipxe::chain))
        .route("/ipxe/{uuid}", get(ipxe::script))
        .route("/ignition/{*path}", get(ignition::ignition))
        .route("/httpboot", get(httpboot::httpboot))
        .route("/httpboot/{*path}", get(uki::uki))
        .route("/grub/{*path}", get(files::grub))
        .route("/image", get(image::layer))
        .route(url::MEDIUM, get(media::medium))
        .fallback(elsewhere)
        .with_state(state)
}

fn moved(to: String) -> Response {
    (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, to)]).into_response()
}

/// Whether somebody is refused for the place or the time at which he asks. The two are told alike.
fn is_of_a_place(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Closed { .. } | Refusal::Elsewhere { .. })
}

/// Whether it may have been refused for something that passes in a moment.
fn may_pass(refusal: &Refusal) -> bool {
    is_of_a_place(refusal) || matches!(refusal, Refusal::NotReady | Refusal::NotYet { .. })
}

/// There is nothing at this path. As with ironcore, a path with empty segments or dots is
/// redirected to the one without; a service URL with a trailing slash leads to such paths.
async fn elsewhere(method: Method, uri: Uri) -> Response {
    let is_read = [Method::GET, Method::HEAD].contains(&method);
    match clean(uri.path()).filter(|_| is_read) {
        Some(path) => {
            let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            moved(format!("{path}{query}"))
        }
        None => refused(&Refusal::Unknown),
    }
}

/// The path without empty segments and dots, if it has any.
fn clean(path: &str) -> Option<String> {
    let mut kept = vec![];
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => _ = kept.pop(),
            segment => kept.push(segment),
        }
    }
    let end = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    let cleaned = format!("/{}{end}", kept.join("/"));
    (cleaned != path).then_some(cleaned)
}

impl AppState {
    /// Checks again before refusing: a machine that has moved, or boots from another interface than
    /// before, sends its request moments after it got its address, and firmware sends it only once.
    /// What is not ready may be so in a moment, too. Requests outside of the window are delayed by the
    /// same time, which reveals nothing. Beyond the limit of [`Delays`], it refuses at once.
    async fn patiently<T, Attempt: Future<Output = Result<T, Refusal>>>(
        &self,
        requester: &Requester,
        ask: impl Fn() -> Attempt,
    ) -> Result<T, Refusal> {
        self.patiently_while(requester, may_pass, ask).await
    }

    /// Like [`AppState::patiently`], for these refusals only.
    async fn patiently_while<T, Attempt: Future<Output = Result<T, Refusal>>>(
        &self,
        requester: &Requester,
        may_pass: fn(&Refusal) -> bool,
        ask: impl Fn() -> Attempt,
    ) -> Result<T, Refusal> {
        let is_refused = |answer: &Result<T, Refusal>| answer.as_ref().is_err_and(may_pass);
        let mut answer = ask().await;
        if !is_refused(&answer) {
            return answer;
        }
        let Some(_delay) = self.delays.begin(requester) else { return answer };
        for _ in 0..LOOKS {
            sleep(self.patience / LOOKS).await;
            answer = ask().await;
            if !is_refused(&answer) {
                break;
            }
        }
        answer
    }

    /// Counts an answer, and converts a refusal.
    fn answer(&self, endpoint: &'static str, result: Result<Response, Refusal>) -> Response {
        self.answer_by(endpoint, result, refused)
    }

    /// Like [`AppState::answer`], with another conversion of refusals.
    fn answer_by(
        &self,
        endpoint: &'static str,
        result: Result<Response, Refusal>,
        refused: impl FnOnce(&Refusal) -> Response,
    ) -> Response {
        let result = result.map_err(|refusal| self.as_far_as_is_known(refusal));
        let reason = match &result {
            Ok(_) => "",
            Err(refusal) => refusal.reason(),
        };
        let response = result.unwrap_or_else(|refusal| {
            refusal::log(&self.told, endpoint, &refusal);
            refused(&refusal)
        });
        let status = response.status().as_u16();
        self.answers.get_or_create(&Answer { endpoint, status, reason }).inc();
        response
    }
}

impl AppState {
    /// Logs that a server has asked by a UUID that nothing is known of. Nobody but its firmware makes
    /// that one up, and the machine shows no more than an error.
    fn tell_unknown<T>(
        &self,
        endpoint: &'static str,
        asker: &Requester,
        uuid: Option<SystemUuid>,
        answer: Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        if let Err(Refusal::Unknown) = &answer {
            for server in self.view.servers_at(&asker.addresses(), Timestamp::now()) {
                refusal::log_unknown(&self.told, endpoint, &server.name_any(), uuid);
            }
        }
        answer
    }
}

impl AppState {
    /// The key for tokens.
    fn key(&self) -> Result<Key, Refusal> {
        self.key.get().ok_or(Refusal::Starting)
    }

    /// Turns a refusal because something is missing into a temporary one while not everything has
    /// been listed.
    fn as_far_as_is_known(&self, refusal: Refusal) -> Refusal {
        match refusal {
            Refusal::Unknown | Refusal::NotCurrent | Refusal::NoContent
                if !self.view.is_ready() =>
            {
                Refusal::Starting
            }
            other => other,
        }
    }
}

/// A text for one machine at one time, which must not be cached.
fn private(text: impl Into<axum::body::Body>) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (headers, text.into()).into_response()
}
