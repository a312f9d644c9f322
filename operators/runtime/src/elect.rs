//! Work that only one replica may do.

use crate::{
    health::Gate,
    lease::{Candidate, Lost},
};
use tokio_util::sync::CancellationToken;

/// Runs `work` once this process leads, and gives the lease up afterwards.
///
/// `work` is told of the shutdown by its own copy of `shutdown`, and keeps the lease until it has
/// ended. `leading` opens when it starts. Without a candidate there is no election.
///
/// Returns what `work` returned, or nothing if the shutdown came before this process led.
///
/// # Errors
///
/// If the lease was lost; `work` was dropped where it stood, and the process must end.
pub async fn run_elected<F: Future>(
    candidate: Option<Candidate>,
    leading: &Gate,
    shutdown: &CancellationToken,
    work: impl FnOnce() -> F,
) -> Result<Option<F::Output>, Lost> {
    let Some(mut candidate) = candidate else {
        leading.open();
        return Ok(Some(work().await));
    };
    if shutdown.run_until_cancelled(candidate.lead()).await.is_none() {
        // The last try may have won without our seeing it.
        candidate.release().await;
        return Ok(None);
    }
    leading.open();
    let done = tokio::select! {
        done = work() => done,
        lost = candidate.keep() => return Err(lost),
    };
    candidate.release().await;
    Ok(Some(done))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{health::Readiness, lease::tests::Leases};
    use std::future::pending;

    #[tokio::test(start_paused = true)]
    async fn work_keeps_the_lease_until_it_has_ended_and_then_it_is_released() {
        let (server, shutdown) = (Leases::default(), CancellationToken::new());
        let readiness = Readiness::default();
        let leading = readiness.gate("work", "the lease");
        let worked = run_elected(Some(server.candidate("a")), &leading, &shutdown, || async {
            shutdown.cancel();
            shutdown.cancelled().await;
            server.holder()
        });
        assert_eq!(worked.await.unwrap().as_deref(), Some("a"));
        assert_eq!(server.holder(), "");
        assert!(readiness.is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn work_is_dropped_when_the_lease_is_lost() {
        let (server, shutdown) = (Leases::default(), CancellationToken::new());
        let leading = Readiness::default().gate("work", "the lease");
        let worked = run_elected(Some(server.candidate("a")), &leading, &shutdown, || {
            server.hold("b");
            pending::<()>()
        });
        worked.await.unwrap_err();
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_ends_the_wait_for_the_lease() {
        let (server, shutdown) = (Leases::default(), CancellationToken::new());
        server.candidate("a").lead().await;
        shutdown.cancel();
        let leading = Readiness::default().gate("work", "the lease");
        let worked = run_elected(Some(server.candidate("b")), &leading, &shutdown, pending::<()>);
        assert_eq!(worked.await.unwrap(), None);
        assert_eq!(server.holder(), "a");
    }

    #[tokio::test]
    async fn without_a_candidate_work_starts_at_once() {
        let readiness = Readiness::default();
        let leading = readiness.gate("work", "the lease");
        let worked = run_elected(None, &leading, &CancellationToken::new(), async || 7).await;
        assert_eq!(worked.unwrap(), Some(7));
        assert!(readiness.is_ready());
    }
}
