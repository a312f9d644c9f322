//! Waiting for a state, within a time.

use anyhow::{Context, Result};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// Pause between attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// Repeats `attempt` until it succeeds; returns its result.
///
/// # Errors
///
/// The error of the last attempt, if none succeeds in time.
pub async fn eventually<T>(
    within: Duration,
    mut attempt: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let deadline = Instant::now() + within;
    let mut last = None;
    loop {
        match timeout_at(deadline, attempt()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) if Instant::now() < deadline => last = Some(error),
            Ok(Err(error)) => return Err(error).with_context(|| format!("not within {within:?}")),
            Err(late) => {
                let error = last.unwrap_or_else(|| late.into());
                return Err(error).with_context(|| format!("not within {within:?}"));
            }
        }
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;
    use std::{cell::Cell, future::pending};

    #[tokio::test(start_paused = true)]
    async fn the_first_success_counts() {
        let tries = Cell::new(0);
        let found = eventually(Duration::from_secs(5), async || {
            tries.set(tries.get() + 1);
            if tries.get() < 3 {
                bail!("not yet");
            }
            Ok(tries.get())
        });
        assert_eq!(found.await.unwrap(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_failure_is_told_also_when_an_attempt_hangs() {
        let refused = eventually::<()>(Duration::from_secs(5), async || bail!("still red")).await;
        assert_eq!(format!("{:#}", refused.unwrap_err()), "not within 5s: still red");

        let tries = Cell::new(0);
        let hung = eventually::<()>(Duration::from_secs(5), async || {
            tries.set(tries.get() + 1);
            if tries.get() > 1 {
                pending::<()>().await;
            }
            bail!("still red")
        });
        assert_eq!(format!("{:#}", hung.await.unwrap_err()), "not within 5s: still red");
    }
}
