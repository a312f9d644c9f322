//! What a Host asks for: the release that it is to run.

use super::{Asker, Failure, proof::Request, settle, write::record_host};
use crate::{context::Context, host};
use axum::{
    Json,
    body::Bytes,
    extract::{Query, State},
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use jiff::Timestamp;
use kube::ResourceExt;
use metal_api::{Host, SealedConfiguration};
use metal_core::rented_host::{pass::is_for, report};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout_at};

/// The longest that somebody may wait for a change, in seconds.
const LONGEST: u64 = 60;

/// What a Host already knows, and how long it waits for something else.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wait {
    /// Seconds.
    wait: u64,
    /// Name of the release that it knows; empty for none.
    release: String,
}

/// What a Host is to run.
#[derive(Debug, Serialize)]
struct Wanted {
    namespace: String,
    host: String,
    release: Option<Release>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
}

#[derive(Debug, Serialize)]
struct Release {
    name: String,
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration: Option<SealedConfiguration>,
}

/// The release that the Host is to run; waits for another than the Host knows.
pub(super) async fn release(
    State(ctx): State<Arc<Context>>,
    asker: Asker,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    Query(wait): Query<Wait>,
) -> Response {
    let request = Request { method: &method, uri: &uri, headers: &headers, body: b"" };
    let answer = match request.host(&ctx, &asker) {
        Ok(host) => wanted(&ctx, &host, &wait).await.map(|it| Json(it).into_response()),
        Err(failure) => Err(failure),
    };
    settle(&ctx, &asker, "release", answer)
}

async fn wanted(ctx: &Context, known: &Host, wait: &Wait) -> Result<Wanted, Failure> {
    let until = Instant::now() + Duration::from_secs(wait.wait.min(LONGEST));
    let mut changes = ctx.view.changes();
    loop {
        changes.mark_unchanged();
        let host = ctx.view.hosts.named(known.namespace().as_deref(), &known.name_any());
        let host = host.filter(|host| host.metadata.uid == known.metadata.uid);
        let host = host.ok_or(Failure::Unproven("its Host is gone"))?;
        let wanted = now(ctx, &host);
        let name = wanted.release.as_ref().map_or("", |release| release.name.as_str());
        if name != wait.release || timeout_at(until, changes.changed()).await.is_err() {
            return Ok(wanted);
        }
    }
}

fn now(ctx: &Context, host: &Host) -> Wanted {
    let release = host::release(ctx, host).filter(|release| is_for(release, host));
    Wanted {
        namespace: host.namespace().unwrap_or_default(),
        host: host.name_any(),
        release: release.map(|release| Release {
            name: release.name_any(),
            image: release.spec.image.clone(),
            configuration: release.spec.configuration.clone(),
        }),
        previous: host.status.as_ref().and_then(|status| status.previous_release.clone()),
    }
}

/// Takes a report of a Host.
pub(super) async fn status(
    State(ctx): State<Arc<Context>>,
    asker: Asker,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = Request { method: &method, uri: &uri, headers: &headers, body: &body };
    let answer = reported(&ctx, &asker, &request).await;
    settle(&ctx, &asker, "status", answer.map(|()| StatusCode::NO_CONTENT.into_response()))
}

async fn reported(ctx: &Context, asker: &Asker, request: &Request<'_>) -> Result<(), Failure> {
    let host = request.host(ctx, asker)?;
    let said: report::Report = serde_json::from_slice(request.body)
        .map_err(|error| Failure::Malformed(format!("body: {error}")))?;
    let record = |host: &Host| report::record(host, &said, asker.address, Timestamp::now());
    record_host(ctx, &host, record).await
}
