//! Drives the passes of one controller over its queue.

use crate::Error;
use k8s_openapi::api::core::v1::ObjectReference;
use metal_core::server::Failure;
use metal_runtime::{
    jittered,
    queue::Queue,
    report::{Failures, Reporter},
};
use std::{hash::Hash, sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long a pass may take.
const DEADLINE: Duration = Duration::from_mins(2);

/// When to look again while not every list has arrived: until then a miss means nothing.
pub const NOT_LISTED: Duration = Duration::from_secs(1);

/// Queue, failures and reporter of one controller.
pub struct Work<Key> {
    /// Keys that wait for a pass.
    pub queue: Queue<Key>,
    /// Failures so far.
    pub failures: Failures<Key>,
    /// Log, events and metrics.
    pub reporter: Reporter,
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

impl<Key> Work<Key>
where
    Key: Clone + Eq + Hash + Ord + Send + 'static,
{
    /// A controller without work.
    pub fn new(reporter: Reporter) -> Self {
        Self { queue: Queue::default(), failures: Failures::default(), reporter }
    }

    /// The last failure of `key`, as a decision sees it.
    pub fn failure(&self, key: &Key) -> Option<Failure> {
        let failure = self.failures.last(key)?;
        Some(Failure { reason: failure.reason, text: failure.text })
    }

    /// Works for ever. `reference` names the object of a key, for events.
    pub async fn drive<F, P>(
        self: Arc<Self>,
        concurrency: usize,
        reference: impl Fn(&Key) -> ObjectReference + Clone + Send + 'static,
        pass: F,
    ) where
        Key: Sync,
        F: Fn(Key) -> P,
        P: Future<Output = Result<Next, Error>> + Send + 'static,
    {
        let queue = self.queue.clone();
        let turn = move |key: Key| {
            let (work, reference) = (Arc::clone(&self), reference.clone());
            let pass = pass(key.clone());
            async move {
                let result = timeout(DEADLINE, pass).await.unwrap_or(Err(Error::Deadline));
                work.next(key, result, reference).await
            }
        };
        queue.run(concurrency, turn).await;
    }

    async fn next(
        &self,
        key: Key,
        result: Result<Next, Error>,
        reference: impl Fn(&Key) -> ObjectReference,
    ) -> Option<Duration> {
        match result {
            Ok(next) => {
                self.reporter.count("Ok");
                match next {
                    Next::Wait => None,
                    Next::Again => Some(Duration::ZERO),
                    // What was forgiven is shown by the pass after this one.
                    Next::Rested(_) if self.failures.succeeded(&key) => Some(Duration::ZERO),
                    Next::After(time) | Next::Rested(time) => Some(jittered(time)),
                }
            }
            Err(error) => {
                self.reporter.failed(&error, &reference(&key)).await;
                Some(jittered(self.failures.failed(key, &error)))
            }
        }
    }
}
