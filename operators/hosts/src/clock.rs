//! The clock of the API server, by which tokens are created and therefore expire: a replica whose own clock is
//! wrong neither refuses a valid token nor accepts an expired one. A removal cannot be undone, so nothing is
//! removed while our clock is wrong.

use jiff::{SignedDuration, Timestamp};
use kube::Client;
use metal_base::Never;
use metal_runtime::clock::{Steps, of_api_server};
use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};

/// By how much two clocks may differ.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
/// Time limit for an answer of the API server.
const PATIENCE: Duration = Duration::from_secs(10);

/// A smaller difference is not corrected: it may be the latency of the answer.
const LEAST: SignedDuration = SignedDuration::from_mins(1);
/// How often the clocks are compared.
const COMPARE: Duration = Duration::from_mins(1);
/// How often to check whether our clock was set in the meantime, as the last comparison is void then.
const GLANCE: Duration = Duration::from_secs(1);

/// The time of the cluster, as far as it is known.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// How many seconds ours is ahead of it.
    ahead: AtomicI64,
}

impl Clock {
    /// The time.
    pub(crate) fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_secs(self.ahead.load(Ordering::Relaxed));
        Timestamp::now().checked_sub(ahead).unwrap_or_else(|_| Timestamp::now())
    }

    /// Compares the clocks forever.
    pub(crate) async fn follow(&self, client: &Client) -> Never {
        // Whether the clocks were compared since ours was set: before that, it may be wrong by any amount.
        let (mut is_compared, mut steps) = (false, Steps::default());
        loop {
            if let Ok(Some(theirs)) = timeout(PATIENCE, of_api_server(client)).await {
                self.compare(Timestamp::now(), theirs);
                is_compared = true;
            }
            let (since, pause) = (Instant::now(), if is_compared { COMPARE } else { GLANCE });
            while since.elapsed() < pause {
                if steps.look().is_some() {
                    is_compared = false;
                    break;
                }
                sleep(GLANCE).await;
            }
        }
    }

    pub(crate) fn compare(&self, ours: Timestamp, theirs: Timestamp) {
        let differs = ours.duration_since(theirs);
        let ahead = if differs.abs() < LEAST { 0 } else { differs.as_secs() };
        let before = self.ahead.swap(ahead, Ordering::Relaxed);
        if ahead != 0 && before.abs_diff(ahead) >= LEAST.as_secs().unsigned_abs() {
            let seconds = ahead;
            tracing::warn!(seconds, "the local clock is ahead of the API server's; set it");
        }
    }
}

/// Why our clock cannot be relied on.
#[derive(Debug, thiserror::Error)]
pub enum ClockUnknown {
    /// It differs from that of the API server.
    #[error("the clock of this server differs by {0} s from that of the API server: set it")]
    Skewed(i64),
    /// The API server does not say what time it is.
    #[error("the API server did not say what time it is")]
    Unknown,
}

/// Compares our clock with that of the API server.
///
/// # Errors
///
/// If they differ by minutes, or the API server does not answer.
pub(crate) async fn is_right(client: &Client, now: Timestamp) -> Result<(), ClockUnknown> {
    let theirs = timeout(PATIENCE, of_api_server(client))
        .await
        .ok()
        .flatten()
        .ok_or(ClockUnknown::Unknown)?;
    let differs = now.duration_since(theirs);
    if differs.abs() > SKEW { Err(ClockUnknown::Skewed(differs.as_secs())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{Request, Response, header::DATE};
    use kube::client::Body;
    use std::{
        convert::Infallible,
        sync::{Arc, atomic::AtomicUsize},
    };

    #[test]
    fn the_time_of_the_cluster_counts_where_ours_is_wrong() {
        let clock = Clock::default();
        for (ahead, corrected) in [(0, 0), (59, 0), (-59, 0), (7200, 7200), (-7200, -7200), (3, 0)]
        {
            let ours = Timestamp::now();
            clock.compare(ours, ours - SignedDuration::from_secs(ahead));
            let off = Timestamp::now().duration_since(clock.now()).as_secs();
            assert!((off - corrected).abs() <= 1, "{ahead}: {off}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_was_not_told_the_time_when_it_started_asks_again_at_once() {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let service = tower::service_fn(move |_: Request<Body>| {
            let is_told = count.fetch_add(1, Ordering::Relaxed) >= 3;
            let date = is_told.then_some("Thu, 01 Jan 2026 12:00:00 GMT");
            let answer =
                date.map_or(Response::builder(), |it| Response::builder().header(DATE, it));
            async move { Ok::<_, Infallible>(answer.body(Body::empty()).unwrap()) }
        });
        let (clock, client) = (Clock::default(), Client::new(service, "default"));
        assert!(timeout(Duration::from_secs(30), clock.follow(&client)).await.is_err());
        let told: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        assert!(clock.now().duration_since(told).abs() < LEAST, "{}", clock.now());
        assert_eq!(asked.load(Ordering::Relaxed), 4, "and then once a minute");
    }

    #[tokio::test]
    async fn a_server_whose_clock_is_wrong_removes_nothing() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let judged = async |date: Option<&'static str>| {
            let service = tower::service_fn(move |_: Request<Body>| async move {
                let answer = Response::builder();
                let answer = date.map_or(Response::builder(), |date| answer.header(DATE, date));
                Ok::<_, Infallible>(answer.body(Body::empty()).unwrap())
            });
            let judged = is_right(&Client::new(service, "default"), now).await;
            judged.map_err(|unsure| unsure.to_string())
        };
        assert_eq!(judged(Some("Thu, 01 Jan 2026 11:58:00 GMT")).await, Ok(()));
        for (date, says) in [
            (Some("Wed, 31 Dec 2025 11:00:00 GMT"), "differs by 90000 s"),
            (Some("Thu, 01 Jan 2026 12:06:00 GMT"), "differs by -360 s"),
            (Some("soon"), "did not say"),
            (None, "did not say"),
        ] {
            let error = judged(date).await.unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
