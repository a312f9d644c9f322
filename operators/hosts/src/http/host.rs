//! What a Host asks for: the release that it is to run.

use super::{ClientAddress, Failure, proof::Request, settle, write::record_host};
use crate::{
    allowance,
    context::Context,
    host,
    memory_permits::MemoryPermit,
    polls::{Poll, Replaced},
    view::named,
};
use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Query, State},
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use futures::stream;
use kube::{Api, ResourceExt, runtime::events::EventType};
use metal_api::{Host, HostRelease, SealedConfiguration};
use metal_core::rented_host::{decide::is_for, report};
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, timeout, timeout_at},
};

/// The longest time that a request may wait for a change, in seconds.
const LONGEST: u64 = 60;
/// Time limit for reading a configuration, including the wait for its turn.
const READ: Duration = Duration::from_secs(10);

/// How much of a configuration is handed to a connection at a time, in bytes.
const PIECE: usize = 16 << 10;

/// What a Host already knows, and how long it is willing to wait for something else.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ReleaseQuery {
    /// Seconds.
    wait: u64,
    /// Name of the release that it knows; empty for none.
    release: String,
    /// Its UID, if known: another release may have the same name now.
    uid: String,
    /// Whether the answer is empty (204) as long as it is to run the release that it knows; then nothing is
    /// read.
    brief: bool,
}

impl ReleaseQuery {
    fn knows(&self, release: Option<&HostRelease>) -> bool {
        let Some(release) = release else { return self.release.is_empty() };
        let is_same = self.uid.is_empty() || release.metadata.uid.as_ref() == Some(&self.uid);
        release.metadata.name.as_ref() == Some(&self.release) && is_same
    }
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
    uid: String,
    image: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration: Option<SealedConfiguration>,
}

/// The release that the Host is to run; waits for another than the Host knows.
pub(super) async fn release(
    State(ctx): State<Arc<Context>>,
    asker: ClientAddress,
    Query(query): Query<ReleaseQuery>,
    request: Request,
) -> Response {
    let host = request.host(&ctx);
    // The request takes no memory while it waits.
    drop(request);
    let answer = match host {
        Ok(host) => polled(&ctx, &asker, &host, &query).await,
        Err(failure) => Err(failure),
    };
    settle(&ctx, &asker, "release", answer)
}

async fn polled(
    ctx: &Context,
    asker: &ClientAddress,
    host: &Host,
    query: &ReleaseQuery,
) -> Result<Response, Failure> {
    let poll = ctx.polls.begin(&host.uid().unwrap_or_default(), asker.address);
    let poll = poll.ok_or(Failure::Unavailable("too many ask"))?;
    if let Some(other) = poll.elsewhere {
        let note = format!(
            "it asks from {asker}, and still does from {other}: if that goes on, two machines have its key, as a \
             copy of its disk has"
        );
        ctx.notices.publish_event(host, EventType::Warning, "AsksTwice", note);
    }
    let wanted = tokio::select! {
        wanted = wanted(ctx, host, query) => wanted?,
        () = poll.replaced() => return Err(Failure::Unavailable("the same Host has asked again")),
    };
    match wanted {
        Some(wanted) => answer(poll, wanted),
        None => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}

/// What the Host is to run; `None` if that is still the release that it knows, and it asked for a brief answer.
async fn wanted(
    ctx: &Context,
    known: &Host,
    query: &ReleaseQuery,
) -> Result<Option<(Wanted, Option<MemoryPermit>)>, Failure> {
    let until = Instant::now() + Duration::from_secs(query.wait.min(LONGEST));
    let mut changes = ctx.view.changes(&named(known));
    let mut waiting = None;
    loop {
        changes.mark_unchanged();
        let host = ctx.view.hosts.named(known.namespace().as_deref(), &known.name_any());
        let host = host.filter(|host| host.metadata.uid == known.metadata.uid);
        let host = host.ok_or(Failure::Unproven("its Host is gone"))?;
        let release = host::release(ctx, &host).filter(|release| is_for(release, &host));
        if query.wait > 0 && query.knows(release.as_deref()) {
            waiting = waiting.or_else(|| ctx.waiting.try_acquire().ok());
        } else {
            waiting = None;
        }
        // If too many wait already, the answer is immediate.
        let is_woken = waiting.is_some() && is_changed(ctx, until, &mut changes).await;
        if !is_woken && query.brief && query.knows(release.as_deref()) {
            return Ok(None);
        }
        if !is_woken {
            return now(ctx, &host, release.as_deref()).await.map(Some);
        }
    }
}

/// Whether there is a change before this time, or before this server ends.
async fn is_changed(ctx: &Context, until: Instant, changes: &mut watch::Receiver<()>) -> bool {
    tokio::select! {
        woken = timeout_at(until, changes.changed()) => woken.is_ok(),
        () = ctx.polls.closed() => false,
    }
}

async fn now(
    ctx: &Context,
    host: &Host,
    release: Option<&HostRelease>,
) -> Result<(Wanted, Option<MemoryPermit>), Failure> {
    let read = match release {
        Some(release) => configuration(ctx, host, release).await?,
        None => None,
    };
    let (configuration, place) = read.unzip();
    let release = release.map(|release| Release {
        name: release.name_any(),
        uid: release.uid().unwrap_or_default(),
        image: release.spec.image.clone(),
        configuration,
    });
    let wanted = Wanted {
        namespace: host.namespace().unwrap_or_default(),
        host: host.name_any(),
        release,
        previous: host.status.as_ref().and_then(|status| status.previous_release.clone()),
    };
    Ok((wanted, place))
}

/// A response that frees the configuration as the host receives it, or when the host asks again.
fn answer(
    poll: Poll,
    (wanted, place): (Wanted, Option<MemoryPermit>),
) -> Result<Response, Failure> {
    let Some(place) = place else { return Ok(Json(wanted).into_response()) };
    let text = serde_json::to_vec(&wanted);
    let text = text.map_err(|error| Failure::Unusable(error.to_string(), None))?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CONTENT_LENGTH, text.len().into()),
    ];
    poll.keep(Bytes::from(text), place);
    // In pieces, because a connection keeps what it was given until it has sent it.
    let pieces = stream::try_unfold(poll, |poll| async move {
        let piece = poll.piece(PIECE)?;
        Ok::<_, Replaced>(piece.map(|piece| (piece, poll)))
    });
    Ok((headers, Body::from_stream(pieces)).into_response())
}

/// The configuration of a release, read only when it is given out, with a permit for its memory that is kept
/// until it is sent.
async fn configuration(
    ctx: &Context,
    host: &Host,
    release: &HostRelease,
) -> Result<Option<(SealedConfiguration, MemoryPermit)>, Failure> {
    if release.spec.configuration.is_none() {
        return Ok(None);
    }
    if !ctx.allowances.may(host, allowance::READS) {
        return Err(Failure::Unavailable("it asks too often"));
    }
    let namespace = release.namespace().unwrap_or_default();
    let releases = Api::<HostRelease>::namespaced(ctx.client.clone(), &namespace);
    let read = async {
        let place = ctx.places.take(&namespace).await;
        // The semaphore is never closed.
        let _turn = ctx.readers.acquire().await.ok();
        (releases.get_opt(&release.name_any()).await, place)
    };
    let read = timeout(READ, read).await.map_err(|_| Failure::Unavailable("too many ask"))?;
    let (read, place) = read;
    let read = read.map_err(|error| Failure::Api(Box::new(error)))?;
    let same = read.filter(|read| read.metadata.uid == release.metadata.uid);
    let same = same.ok_or(Failure::Unavailable("the release is being replaced"))?;
    Ok(same.spec.configuration.map(|configuration| (configuration, place)))
}

/// Takes a report of a Host.
pub(super) async fn status(
    State(ctx): State<Arc<Context>>,
    asker: ClientAddress,
    request: Request,
) -> Response {
    let answer = reported(&ctx, &asker, &request).await;
    settle(&ctx, &asker, "status", answer.map(|()| StatusCode::NO_CONTENT.into_response()))
}

async fn reported(ctx: &Context, asker: &ClientAddress, request: &Request) -> Result<(), Failure> {
    let host = request.host(ctx)?;
    let said: report::HostReport = serde_json::from_slice(&request.body)
        .map_err(|error| Failure::Malformed(format!("body: {error}")))?;
    let record = |host: &Host| report::record(host, &said, asker.address, ctx.now());
    record_host(ctx, &host, record).await
}
