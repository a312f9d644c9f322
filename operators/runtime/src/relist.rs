//! Watches that can list everything again.
//!
//! A watch can be silent for minutes before the silence is noticed. A process that has just become
//! the leader must not act on the state from before another one led: it requests lists that are
//! newer than its lease.

use crate::{election::lease::Candidate, election::run_elected, health::ReadinessCondition};
use std::future::pending;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// Makes watches start over.
#[derive(Debug, Default)]
pub struct Relist {
    asked: Notify,
    begun: watch::Sender<u64>,
}

impl Relist {
    /// Runs `watch` until it ends, and starts it over whenever that is requested, after calling
    /// `doubt`.
    pub async fn follow<W: Future>(&self, doubt: impl Fn(), watch: impl Fn() -> W) -> W::Output {
        loop {
            tokio::select! {
                ended = watch() => return ended,
                () = self.asked.notified() => {
                    doubt();
                    self.begun.send_modify(|times| *times += 1);
                }
            }
        }
    }

    /// Like [`Self::follow`] until `shutdown`; after that, waits for others to end.
    pub async fn follow_until<W: Future>(
        &self,
        shutdown: &CancellationToken,
        doubt: impl Fn(),
        watch: impl Fn() -> W,
    ) -> W::Output {
        match shutdown.run_until_cancelled(self.follow(doubt, watch)).await {
            Some(ended) => ended,
            None => pending().await,
        }
    }

    /// Runs `work` as [`run_elected`] does, each term after new lists, because the previous leader
    /// may have made changes that the watches have not reported yet. `listed` waits for them. Whoever notices that
    /// the API server has gone back in time lists everything again, whether it leads or not.
    pub async fn run_elected(
        &self,
        candidate: Option<Candidate>,
        leading: &ReadinessCondition,
        shutdown: &CancellationToken,
        listed: impl AsyncFn(),
        work: impl AsyncFn(),
    ) {
        let is_elected = candidate.is_some();
        let went_back = candidate.as_ref().map(Candidate::went_back);
        let term = async || {
            if !is_elected || self.before_term(&listed, shutdown).await {
                work().await;
            }
        };
        tokio::select! {
            _ = run_elected(candidate, leading, shutdown, term) => {}
            () = self.ask_after(went_back.as_deref()) => {}
        }
    }

    /// Requests new lists at each of these notifications, forever.
    async fn ask_after(&self, went_back: Option<&Notify>) {
        let Some(went_back) = went_back else { return pending().await };
        loop {
            went_back.notified().await;
            self.asked.notify_one();
        }
    }

    /// Requests new lists, and waits until nothing more comes from the old ones. What is known is
    /// kept until a new list replaces it.
    async fn ask(&self) {
        let mut begun = self.begun.subscribe();
        begun.mark_unchanged();
        self.asked.notify_one();
        // The sender lives as long as `self`.
        begun.changed().await.ok();
    }

    /// Returns whether the new lists arrived before `shutdown`.
    async fn before_term(&self, listed: impl AsyncFnOnce(), shutdown: &CancellationToken) -> bool {
        let renewed = async {
            self.ask().await;
            listed().await;
        };
        shutdown.run_until_cancelled(renewed).await.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{election::lease::tests::Leases, health::Readiness};
    use std::{cell::Cell, time::Duration};
    use tokio::time::timeout;

    #[tokio::test]
    async fn a_watch_begins_anew_after_what_it_brought_is_in_doubt() {
        let (relist, watches, doubts) = (Relist::default(), Cell::new(0), Cell::new(0));
        let watch = || {
            watches.set(watches.get() + 1);
            pending::<()>()
        };
        let follow = relist.follow(|| doubts.set(doubts.get() + 1), watch);
        let ask = async {
            relist.ask().await;
            assert_eq!(doubts.get(), 1);
            relist.ask().await;
            assert_eq!(doubts.get(), 2);
        };
        tokio::select! { () = follow => {} () = ask => {} }
        assert!(watches.get() >= 2, "{}", watches.get());
    }

    #[tokio::test]
    async fn a_term_begins_with_new_lists_or_not_at_all() {
        let (relist, shutdown) = (Relist::default(), CancellationToken::new());
        let (doubted, listed) = (Cell::new(false), Cell::new(false));
        let follow = relist.follow(|| doubted.set(true), pending::<()>);
        let term = async {
            let begins = relist.before_term(
                async || {
                    assert!(doubted.get(), "the lists that are waited for are the new ones");
                    listed.set(true);
                },
                &shutdown,
            );
            assert!(begins.await && listed.get());
            shutdown.cancel();
            assert!(!relist.before_term(async || pending().await, &shutdown).await);
        };
        tokio::select! { () = follow => {} () = term => {} }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_lease_that_went_back_lists_everything_again() {
        let (server, relist) = (Leases::default(), Relist::default());
        server.candidate("a").lead().await;
        server.hold("a");
        let (doubts, shutdown) = (Cell::new(0), CancellationToken::new());
        let leading = Readiness::default().gate("work", "the lease");
        let follow = relist.follow(|| doubts.set(doubts.get() + 1), pending::<()>);
        let waits = server.candidate("b");
        let work = async || pending::<()>().await;
        let elected = relist.run_elected(Some(waits), &leading, &shutdown, async || {}, work);
        let mut both = std::pin::pin!(async { tokio::join!(follow, elected) });
        let while_held = Duration::from_secs(7);
        assert!(timeout(while_held, &mut both).await.is_err());
        assert_eq!(doubts.get(), 0);
        server.go_back();
        assert!(timeout(while_held, &mut both).await.is_err());
        assert_eq!((doubts.get(), server.holder().as_str()), (1, "a"));
    }
}
