//! Work that only one replica may do at a time.

use crate::{election::lease::Candidate, health::ReadinessCondition};
use tokio_util::sync::CancellationToken;

/// Runs `work` while this process leads, and releases the lease when it has ended.
///
/// `work` watches its own copy of `shutdown`, and keeps the lease until it has ended. `leading` is
/// open while it runs. Without a candidate there is no election.
///
/// If the lease is lost, `work` is dropped at once, wherever it is; this process becomes a
/// candidate again, and `work` starts anew when it leads. Everything else, above all what is being
/// served, continues.
///
/// Returns what `work` returned, or nothing if the shutdown came while another process was leading.
pub async fn run_elected<F: Future>(
    candidate: Option<Candidate>,
    leading: &ReadinessCondition,
    shutdown: &CancellationToken,
    mut work: impl FnMut() -> F,
) -> Option<F::Output> {
    let Some(mut candidate) = candidate else {
        leading.open();
        return Some(work().await);
    };
    loop {
        if shutdown.run_until_cancelled(candidate.lead()).await.is_none() {
            // The last attempt may have succeeded without our noticing.
            candidate.release().await;
            return None;
        }
        leading.open();
        let done = tokio::select! {
            done = work() => Some(done),
            lost = candidate.keep() => {
                tracing::warn!(reason = %lost, "controllers stopped; servers keep running");
                None
            }
        };
        if let Some(done) = done {
            candidate.release().await;
            return Some(done);
        }
        leading.wait_for("the lease, after it was lost");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        election::lease::{DURATION, tests::Leases},
        health::Readiness,
    };
    use std::{cell::Cell, future::pending};
    use tokio::time::timeout;

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
        assert_eq!(worked.await.as_deref(), Some("a"));
        assert_eq!(server.holder(), "");
        assert!(readiness.is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn work_ends_with_the_lease_and_begins_anew_with_the_next_one() {
        let (server, shutdown) = (Leases::default(), CancellationToken::new());
        let readiness = Readiness::default();
        let leading = readiness.gate("work", "the lease");
        let terms = Cell::new(0);
        let work = || {
            let (term, server, leading) = (Ended(&terms), &server, readiness.is_ready());
            async move {
                let term = term;
                assert!(leading);
                if term.0.get() == 0 {
                    // This one stays silent from now on.
                    server.hold("b");
                    pending::<()>().await;
                }
                server.holder()
            }
        };
        let worked = run_elected(Some(server.candidate("a")), &leading, &shutdown, work);
        let mut worked = std::pin::pin!(worked);
        assert!(timeout(DURATION / 2, &mut worked).await.is_err());
        assert_eq!((terms.get(), readiness.is_ready()), (1, false), "it ended, and waits");
        assert_eq!(worked.await.as_deref(), Some("a"));
        assert_eq!(terms.get(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_api_server_ends_the_work_and_it_goes_on_when_that_is_back() {
        let (server, shutdown) = (Leases::default(), CancellationToken::new());
        let leading = Readiness::default().gate("work", "the lease");
        let terms = Cell::new(0);
        let work = || {
            let (term, server) = (Ended(&terms), &server);
            async move {
                let term = term;
                if term.0.get() == 0 {
                    server.break_down();
                    pending::<()>().await;
                }
            }
        };
        let worked = run_elected(Some(server.candidate("a")), &leading, &shutdown, work);
        let mut worked = std::pin::pin!(worked);
        assert!(timeout(10 * DURATION, &mut worked).await.is_err());
        assert_eq!(terms.get(), 1);
        server.come_back();
        assert_eq!(timeout(DURATION, worked).await, Ok(Some(())));
    }

    /// Counts works that have ended, or were dropped.
    struct Ended<'a>(&'a Cell<u32>);

    impl Drop for Ended<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn shutdown_ends_the_wait_for_the_lease() {
        let (server, shutdown) = (Leases::default(), CancellationToken::new());
        server.candidate("a").lead().await;
        shutdown.cancel();
        let leading = Readiness::default().gate("work", "the lease");
        let worked = run_elected(Some(server.candidate("b")), &leading, &shutdown, pending::<()>);
        assert_eq!(worked.await, None);
        assert_eq!(server.holder(), "a");
    }

    #[tokio::test]
    async fn without_a_candidate_work_starts_at_once() {
        let readiness = Readiness::default();
        let leading = readiness.gate("work", "the lease");
        let worked = run_elected(None, &leading, &CancellationToken::new(), async || 7).await;
        assert_eq!(worked, Some(7));
        assert!(readiness.is_ready());
    }
}
