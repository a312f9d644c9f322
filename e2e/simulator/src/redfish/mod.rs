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
mod system;
mod tasks;
mod view;
mod write;

use super::{faults::Action, fleet::Fleet, machine::Machine};
use bytes::Bytes;
use dialect::Dialects;
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use problem::Problem;
use reply::{Content, Reply};
use response::Body;
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
    let path = parts.uri.path();
    let machine = route::system(path).and_then(|number| fleet.system(bmc, number)).unwrap_or(bmc);
    let fault = fleet.faults.strike(machine.index, &parts.method, path, Instant::now());
    let fault = fault.as_deref();
    let dialects = Dialects(&fleet.config.profile.dialects);
    sleep_for(fleet.config.latency).await;
    match fault {
        Some(Action::Drop) => return Err(Dropped),
        Some(Action::Hang) => {
            fleet.stop.cancelled().await;
            return Err(Dropped);
        }
        Some(Action::Delay(delay)) => sleep_for(*delay).await,
        Some(Action::Garbage) => return Ok(Reply::garbage()),
        Some(Action::Status(status)) => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            let content = Content::Json(serde_json::json!({ "error": {} }));
            return Ok(Reply::with(status, content).into_response(None, dialects));
        }
        Some(Action::Truncate | Action::Fields { .. }) | None => {}
    }
    let body = match read(body).await {
        Ok(body) => body,
        Err(Unread::TooLarge) => {
            return Ok(Reply::from(Problem::too_large()).into_response(None, dialects));
        }
        Err(Unread::Gone) => return Err(Dropped),
    };
    let request = service::Request {
        fleet,
        bmc,
        machine,
        now: Instant::now(),
        method: &parts.method,
        path,
        query: parts.uri.query(),
        headers: &parts.headers,
        body: &body,
    };
    let reply = dialects.reply(&request);
    Ok(reply.into_response(fault, dialects))
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
