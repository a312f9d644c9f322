//! Serves requests on other threads than those that must not wait. A template may use as much time as its limit
//! allows, so the templates of each image are rendered on a few threads of its own.

use super::{FileRequest, Refused, Served, open};
use crate::Context;
use std::{
    sync::{Arc, mpsc},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::timeout,
};

/// How long an HTTP request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a thread waits that serves all machines.
const THREAD_PATIENCE: Duration = Duration::from_millis(250);

/// Serves a request.
///
/// # Errors
///
/// If it is refused.
pub(crate) async fn opened(ctx: &Arc<Context>, asked: FileRequest) -> Result<Served, Refused> {
    let Some(places) = places(ctx, &asked) else { return open(ctx, &asked) };
    let Ok(Ok(place)) = timeout(PATIENCE, places.acquire_owned()).await else {
        return Err(Refused::Busy);
    };
    let ctx = Arc::clone(ctx);
    let served = spawn_blocking(move || served(&ctx, &asked, place)).await;
    served.unwrap_or(Err(Refused::Busy))
}

/// Serves a request on a thread that serves all machines: waits a quarter of a second at most.
///
/// # Errors
///
/// If it is refused.
pub(crate) fn opened_here(ctx: &Arc<Context>, asked: FileRequest) -> Result<Served, Refused> {
    let Some(places) = places(ctx, &asked) else { return open(ctx, &asked) };
    let place = places.try_acquire_owned().map_err(|_| Refused::Busy)?;
    let (answer, answered) = mpsc::sync_channel(1);
    let context = Arc::clone(ctx);
    ctx.live.runtime.spawn_blocking(move || {
        // The thread that asked may have stopped waiting.
        answer.send(served(&context, &asked, place)).ok();
    });
    answered.recv_timeout(THREAD_PATIENCE).unwrap_or(Err(Refused::Busy))
}

fn served(
    ctx: &Context,
    asked: &FileRequest,
    place: OwnedSemaphorePermit,
) -> Result<Served, Refused> {
    let served = open(ctx, asked);
    drop(place);
    served
}

/// The places of the image, if a template is asked for.
fn places(ctx: &Context, asked: &FileRequest) -> Option<Arc<Semaphore>> {
    let image = ctx.images.of(&asked.machine)?;
    image.template(asked.path.trim_start_matches('/'))?;
    Some(Arc::clone(image.places()))
}
