//! Drives the passes of one controller over its queue.

use crate::{
    Written, jittered,
    queue::Queue,
    report::{Class, Failure, Failures, ReconcileError, Reporter},
};
use k8s_openapi::api::core::v1::ObjectReference;
use std::{hash::Hash, sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long a pass may take.
const DEADLINE: Duration = Duration::from_mins(2);

/// When to look again while not every list has arrived: until then a miss means nothing.
pub const NOT_LISTED: Duration = Duration::from_secs(1);

/// Works on one key at a time.
pub trait Pass: Send + Sync + 'static {
    /// What is worked on.
    type Key: Clone + Eq + Hash + Ord + Send + Sync + 'static;
    /// Why a pass fails.
    type Error: ReconcileError;

    /// The object of a key, for events.
    fn reference(&self, key: &Self::Key) -> ObjectReference;

    /// One pass, and what it asks for.
    fn pass(
        &self,
        work: &Work<Self::Key>,
        key: Self::Key,
    ) -> impl Future<Output = Result<Next, Self::Error>> + Send;
}

/// Queue, failures and reporter of one controller.
pub struct Work<Key> {
    /// Keys that wait for a pass.
    pub queue: Queue<Key>,
    /// Failures so far.
    pub failures: Failures<Key>,
    /// Log, events and metrics.
    pub reporter: Reporter,
    forgives: Forgives,
}

/// Which pass makes earlier failures of its key void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forgives {
    /// One that returns [`Next::Rested`]: a pass that only recorded the failure does not count.
    Rested,
    /// Any that worked.
    Worked,
}

/// What a pass asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing; a watch will wake the key.
    Wait,
    /// Another pass at once.
    Again,
    /// Another pass after this time, give or take a tenth.
    After(Duration),
    /// As `After`, and a failure before this is forgiven: something has worked.
    Rested(Duration),
}

/// When to look again after a write that the index does not show, should no watch tell of it: it has
/// changed nothing, and a decision that repeats it must not become a busy loop.
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
    Key: Clone + Eq + Hash + Ord + Send + Sync + 'static,
{
    /// A controller without work.
    pub fn new(reporter: Reporter) -> Self {
        let (queue, failures) = (Queue::default(), Failures::default());
        Self { queue, failures, reporter, forgives: Forgives::Rested }
    }

    /// A controller with a queue that others fill.
    pub fn with(queue: Queue<Key>, reporter: Reporter) -> Self {
        Self { queue, ..Self::new(reporter) }
    }

    /// Forgets failures after any pass that worked: for a controller that records none of them.
    #[must_use]
    pub fn forgiving(self) -> Self {
        Self { forgives: Forgives::Worked, ..self }
    }

    /// The last failure of `key`, if no pass has succeeded since.
    pub fn failure(&self, key: &Key) -> Option<Failure> {
        self.failures.last(key)
    }

    /// Works for ever.
    pub async fn drive<P: Pass<Key = Key>>(self: &Arc<Self>, concurrency: usize, passes: P) {
        let (work, passes) = (Arc::clone(self), Arc::new(passes));
        let turn = move |key: Key| {
            let (work, passes) = (Arc::clone(&work), Arc::clone(&passes));
            async move {
                match timeout(DEADLINE, passes.pass(&work, key.clone())).await {
                    Ok(Ok(next)) => work.rest(&key, next),
                    Ok(Err(error)) => {
                        let object = passes.reference(&key);
                        Some(work.fail(key, &error, &object).await)
                    }
                    Err(_) => {
                        let object = passes.reference(&key);
                        Some(work.fail(key, &Late, &object).await)
                    }
                }
            }
        };
        self.queue.clone().run(concurrency, turn).await;
    }

    /// When the key is due again after a pass that worked.
    fn rest(&self, key: &Key, next: Next) -> Option<Duration> {
        self.reporter.count("Ok");
        if self.forgives == Forgives::Worked {
            self.failures.succeeded(key);
        }
        match next {
            Next::Wait => None,
            Next::Again => Some(Duration::ZERO),
            // What was forgiven is shown by the pass after this one.
            Next::Rested(_) if self.failures.succeeded(key) => Some(Duration::ZERO),
            Next::After(time) | Next::Rested(time) => Some(jittered(time)),
        }
    }

    /// When the key is due again after a pass that failed.
    async fn fail(
        &self,
        key: Key,
        error: &impl ReconcileError,
        object: &ObjectReference,
    ) -> Duration {
        self.reporter.failed(error, object).await;
        jittered(self.failures.failed(key, error))
    }
}

/// A pass took too long; whatever was under way was dropped.
#[derive(Debug, thiserror::Error)]
#[error("pass timed out")]
struct Late;

impl ReconcileError for Late {
    fn class(&self) -> Class {
        Class::Transient
    }

    fn reason(&self) -> &'static str {
        "Deadline"
    }
}
