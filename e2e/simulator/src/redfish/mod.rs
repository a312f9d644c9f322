//! Redfish as a BMC serves it (DSP0266), from the state of one machine.

mod accounts;
mod boot;
mod browser_slot;
mod dialect;
mod manager;
mod media;
mod metadata;
mod parts;
mod problem;
mod render;
mod reply;
mod response;
mod route;
mod service;
mod spelling;
mod system;
mod tasks;
mod view;
mod write;

use super::{faults::Action, fleet::Fleet, machine::Machine};
use bytes::Bytes;
use dialect::{Dialects, only_member};
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use problem::Problem;
use reply::{Content, Reply};
use response::Body;
use service::Request;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// The longest request body.
const BODY: usize = 64 << 10;
/// How long a client may take to send it.
const BODY_DEADLINE: Duration = Duration::from_secs(30);

/// The connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("connection dropped")]
pub(super) struct Dropped;

/// Answers one request to the BMC of one machine. If several machines are systems of that BMC, the
/// path says which one is meant.
pub(super) async fn answer(
    fleet: &Arc<Fleet>,
    bmc: &Machine,
    request: http::Request<Incoming>,
) -> Result<http::Response<Body>, Dropped> {
    let (parts, body) = request.into_parts();
    {
        let mut state = bmc.lock();
        if !state.is_reachable(Instant::now()) {
            return Err(Dropped);
        }
        state.counters.requests += 1;
    }
    let dialects = Dialects(&fleet.config.profile.dialects);
    let body = match read(body).await {
        Ok(body) => body,
        Err(Unread::TooLarge) => {
            return Ok(Reply::from(Problem::too_large()).into_response(None, dialects));
        }
        Err(Unread::Gone) => return Err(Dropped),
    };
    sleep_for(fleet.config.latency).await;
    let path = parts.uri.path();
    let request = Request {
        fleet,
        bmc,
        machine: route::system(path).and_then(|number| fleet.system(bmc, number)).unwrap_or(bmc),
        now: Instant::now(),
        method: &parts.method,
        path,
        query: parts.uri.query(),
        headers: &parts.headers,
        body: &body,
    };
    match answer_with_faults(&request, dialects).await {
        Ok(response) | Err(Interrupted::Answered(response)) => Ok(response),
        Err(Interrupted::Dropped) => Err(Dropped),
    }
}

/// What a fault does in place of the answer.
enum Interrupted {
    Dropped,
    Answered(http::Response<Body>),
}

/// Answers by the resource, or by the only member of a collection. The faults of a member hit both who asks
/// for its path and who asks for it by the collection.
async fn answer_with_faults(
    request: &Request<'_>,
    dialects: Dialects<'_>,
) -> Result<http::Response<Body>, Interrupted> {
    let fault = strike(request, dialects).await?;
    let reply = dialects.reply(request);
    let member = only_member(request, &reply);
    let Some(member) = member.as_deref().and_then(|uri| request.at(uri)) else {
        return Ok(reply.into_response(fault.as_deref(), dialects));
    };
    let fault = strike(&member, dialects).await?.or(fault);
    Ok(dialects.reply(&member).into_response(fault.as_deref(), dialects))
}

/// The fault that changes the answer of this resource, if there is one.
async fn strike(
    request: &Request<'_>,
    dialects: Dialects<'_>,
) -> Result<Option<Arc<Action>>, Interrupted> {
    let Request { fleet, machine, method, path, .. } = *request;
    let fault = fleet.faults.strike(machine.index, method, path, Instant::now());
    match fault.as_deref() {
        Some(Action::Drop) => return Err(Interrupted::Dropped),
        Some(Action::Hang) => {
            fleet.stop.cancelled().await;
            return Err(Interrupted::Dropped);
        }
        Some(Action::Delay(delay)) => sleep_for(*delay).await,
        Some(Action::Garbage) => return Err(Interrupted::Answered(Reply::garbage())),
        Some(Action::Status(status)) => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            let reply = Reply::with(status, Content::Json(serde_json::json!({ "error": {} })));
            return Err(Interrupted::Answered(reply.into_response(None, dialects)));
        }
        Some(Action::Truncate | Action::Fields { .. }) | None => {}
    }
    Ok(fault)
}

/// Why a request's body was not read.
enum Unread {
    TooLarge,
    Gone,
}

async fn read(body: Incoming) -> Result<Bytes, Unread> {
    match timeout(BODY_DEADLINE, Limited::new(body, BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Unread::TooLarge),
        Ok(Err(_)) | Err(_) => Err(Unread::Gone),
    }
}

async fn sleep_for(duration: Duration) {
    if !duration.is_zero() {
        sleep(duration).await;
    }
}
