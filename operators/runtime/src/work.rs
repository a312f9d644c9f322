//! Runs the passes of one controller over its queue.

use crate::{
    Written, jittered,
    queue::Queue,
    report::{Class, Failure, Failures, ReconcileError, Reporter},
};
use k8s_openapi::api::core::v1::ObjectReference;
use std::{fmt::Debug, hash::Hash, sync::Arc, time::Duration};
use tokio::time::timeout;

/// When to look again while some lists have not arrived yet: until then a miss means nothing.
pub const NOT_LISTED: Duration = Duration::from_secs(1);

/// Time limit of a pass that asks nobody but the API server.
pub const DEADLINE: Duration = Duration::from_mins(2);

/// Processes one key at a time.
pub trait Pass: Send + Sync + 'static {
    /// Identifies what is processed.
    type Key: Clone + Debug + Eq + Hash + Ord + Send + Sync + 'static;
    /// The outcome of a successful pass.
    type Passed: Into<Passed> + Send;
    /// The error of a failed pass.
    type Error: ReconcileError;

    /// Time limit of a pass: longer than everything together that it may wait for, because what
    /// is in progress then is dropped, and what came of it is lost.
    const DEADLINE: Duration = DEADLINE;

    /// The objects on which a failure is reported by events; if there are none, it is only logged.
    /// Without an `error`, the pass took too long.
    fn concerned(&self, key: &Self::Key, error: Option<&Self::Error>) -> Vec<ObjectReference>;

    /// Runs one pass, and returns what it asks for.
    fn pass(
        &self,
        work: &Work<Self::Key>,
        key: Self::Key,
    ) -> impl Future<Output = Result<Self::Passed, Self::Error>> + Send;
}

/// The outcome of a successful pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The word under which it is counted, from a small fixed set; `None` if nothing was looked at.
    pub result: Option<&'static str>,
    /// What it asks for.
    pub next: Next,
}

impl From<Next> for Passed {
    fn from(next: Next) -> Self {
        Self { result: Some("Ok"), next }
    }
}

/// Queue, failures and reporter of one controller.
pub struct Work<Key> {
    /// Keys that are waiting for a pass.
    pub queue: Queue<Key>,
    /// Failures so far.
    pub failures: Failures<Key>,
    /// Log, events and metrics.
    pub reporter: Reporter,
    forgives: ClearsFailures,
}

/// Which passes clear earlier failures of their key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClearsFailures {
    /// Those that return [`Next::Rested`]: a pass that only recorded the failure does not count.
    Rested,
    /// All successful ones.
    Worked,
}

/// What a pass asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing; a watch will wake the key.
    Wait,
    /// Another pass at once.
    Again,
    /// Another pass after this time, plus or minus a tenth.
    After(Duration),
    /// Another pass after this time, or up to a second later, as many may be due at the same time.
    NotBefore(Duration),
    /// Like `After`, and clears earlier failures, because something has worked.
    Rested(Duration),
}

/// When to look again after a write that the index does not show, in case no watch reports it: the
/// write has changed nothing, and a decision that repeats it must not become a busy loop.
const UNSEEN: Duration = Duration::from_secs(5);

impl From<Written> for Next {
    fn from(written: Written) -> Self {
        match written {
            Written::Seen => Self::Again,
            Written::Unseen => Self::After(UNSEEN),
            Written::Gone => Self::Wait,
        }
    }
}

impl<Key> Work<Key>
where
    Key: Clone + Debug + Eq + Hash + Ord + Send + Sync + 'static,
{
    /// A controller with an empty queue.
    pub fn new(reporter: Reporter) -> Self {
        let (queue, failures) = (Queue::default(), Failures::default());
        Self { queue, failures, reporter, forgives: ClearsFailures::Rested }
    }

    /// A controller with a queue that others fill.
    pub fn with(queue: Queue<Key>, reporter: Reporter) -> Self {
        Self { queue, ..Self::new(reporter) }
    }

    /// Clears failures after any successful pass: for a controller that does not record them.
    #[must_use]
    pub fn forgiving(self) -> Self {
        Self { forgives: ClearsFailures::Worked, ..self }
    }

    /// The last failure of `key`, if no pass has succeeded since.
    pub fn failure(&self, key: &Key) -> Option<Failure> {
        self.failures.last(key)
    }

    /// Runs forever.
    pub async fn drive<P: Pass<Key = Key>>(self: &Arc<Self>, concurrency: usize, passes: P) {
        let (work, passes) = (Arc::clone(self), Arc::new(passes));
        let turn = move |key: Key| {
            let (work, passes) = (Arc::clone(&work), Arc::clone(&passes));
            async move { work.turn(&*passes, key).await }
        };
        self.queue.clone().run(concurrency, turn).await;
    }

    /// The turn of one key: a pass, and the handling of its outcome. Returns when the key is due
    /// again.
    pub async fn turn<P: Pass<Key = Key>>(&self, passes: &P, key: Key) -> Option<Duration> {
        match timeout(P::DEADLINE, passes.pass(self, key.clone())).await {
            Ok(Ok(done)) => self.rest(&key, done.into()),
            Ok(Err(error)) => {
                let concerned = passes.concerned(&key, Some(&error));
                Some(self.fail(key, &error, &concerned).await)
            }
            Err(_) => {
                let concerned = passes.concerned(&key, None);
                Some(self.fail(key, &TimedOut, &concerned).await)
            }
        }
    }

    /// When the key is due again after a successful pass.
    fn rest(&self, key: &Key, Passed { result, next }: Passed) -> Option<Duration> {
        if let Some(result) = result {
            self.reporter.count(result);
        }
        self.failures.had_no_conflict(key);
        if self.forgives == ClearsFailures::Worked {
            self.failures.succeeded(key);
        }
        match next {
            Next::Wait => None,
            Next::Again => Some(Duration::ZERO),
            // The next pass shows that the failure was cleared.
            Next::Rested(_) if self.failures.succeeded(key) => Some(Duration::ZERO),
            Next::After(time) | Next::Rested(time) => Some(jittered(time)),
            Next::NotBefore(time) => Some(time + jittered(Duration::from_secs(1))),
        }
    }

    /// When the key is due again after a failed pass.
    async fn fail(
        &self,
        key: Key,
        error: &impl ReconcileError,
        concerned: &[ObjectReference],
    ) -> Duration {
        self.reporter.failed(&key, error, concerned).await;
        jittered(self.failures.failed(key, error))
    }
}

/// A pass took too long; whatever was in progress was dropped.
#[derive(Debug, thiserror::Error)]
#[error("pass timed out")]
struct TimedOut;

impl ReconcileError for TimedOut {
    fn class(&self) -> Class {
        Class::Transient
    }

    fn reason(&self) -> &'static str {
        "Deadline"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ApiServer;
    use kube::runtime::events::{Recorder, Reporter as Source};
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn a_pass_ends_at_its_own_deadline_which_is_told_on_all_that_it_concerns() {
        let (server, begun) = (ApiServer::default(), Instant::now());
        let due = work(&server).turn(&Told(None), "a").await;
        assert_eq!(begun.elapsed(), Told::DEADLINE);
        assert!(due.is_some_and(|due| due < Duration::from_secs(2)), "{due:?}");
        let events = server.written();
        let about: Vec<_> = events.iter().map(|it| &it.body["regarding"]["name"]).collect();
        assert_eq!(about, ["first", "second"]);
    }

    #[tokio::test]
    async fn what_has_a_time_is_not_looked_at_before_and_many_not_at_once() {
        let (work, hour) = (work(&ApiServer::default()), Duration::from_hours(1));
        let passed = Passed { result: None, next: Next::NotBefore(hour) };
        let mut times = std::collections::BTreeSet::new();
        for _ in 0..100 {
            times.extend(work.turn(&Told(Some(passed)), "a").await);
        }
        assert!(times.first() > Some(&hour) && times.len() > 1, "{times:?}");
        assert!(times.last() < Some(&(hour + Duration::from_secs(2))), "{times:?}");
    }

    /// Returns this, or takes too long.
    struct Told(Option<Passed>);

    impl Pass for Told {
        type Key = &'static str;
        type Passed = Passed;
        type Error = TimedOut;

        const DEADLINE: Duration = Duration::from_secs(7);

        fn concerned(&self, _: &&'static str, _: Option<&TimedOut>) -> Vec<ObjectReference> {
            let named = |name: &str| ObjectReference {
                name: Some(name.to_owned()),
                ..ObjectReference::default()
            };
            vec![named("first"), named("second")]
        }

        async fn pass(&self, _: &Work<&'static str>, _: &'static str) -> Result<Passed, TimedOut> {
            match self.0 {
                Some(passed) => Ok(passed),
                None => std::future::pending().await,
            }
        }
    }

    fn work(server: &ApiServer) -> Work<&'static str> {
        let recorder = Recorder::new(server.client("default"), Source::from("test"));
        let passes = prometheus_client::metrics::family::Family::default();
        Work::new(Reporter { controller: "told", recorder, passes })
    }
}
