//! `kill -9` of both operators, again and again.

use anyhow::Result;
use e2e::stack::Stack;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How long an operator may take to become ready after the last kill.
const READY: Duration = Duration::from_mins(2);

/// Kills the operators at this interval, and restarts them at once, until `done`; on return both
/// run and are ready. Returns how many times they were killed.
///
/// # Errors
///
/// If an operator has exited on its own, or does not start.
pub(super) async fn every(
    pause: Option<Duration>,
    stack: &Stack,
    done: &CancellationToken,
) -> Result<u32> {
    let Some(pause) = pause else { return Ok(0) };
    let mut kills = 0;
    loop {
        // Only the pause can be cut short: a killed operator is always started again.
        tokio::select! {
            () = done.cancelled() => break,
            () = sleep(pause) => {}
        }
        tokio::try_join!(stack.metal.kill(), stack.boot.kill())?;
        stack.metal.start()?;
        stack.boot.start()?;
        kills += 1;
    }
    tokio::try_join!(stack.metal.ready(READY), stack.boot.ready(READY))?;
    Ok(kills)
}
