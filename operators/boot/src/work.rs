//! Drives the passes of one controller over its queue.

use crate::Error;
use k8s_openapi::api::core::v1::ObjectReference;
use metal_runtime::{
    jittered,
    queue::Queue,
    report::{Failures, Reporter},
};
use std::{hash::Hash, sync::Arc, time::Duration};
use tokio::time::timeout;

/// How long a pass may take.
const DEADLINE: Duration = Duration::from_mins(2);

/// Queue, failures and reporter of one controller.
pub struct Work<Key> {
    /// Keys that wait for a pass.
    pub queue: Queue<Key>,
    failures: Failures<Key>,
    reporter: Reporter,
}

/// What a pass asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing; a watch will wake the key.
    Wait,
    /// Another pass after this time, give or take a tenth.
    After(Duration),
}

impl<Key> Work<Key>
where
    Key: Clone + Eq + Hash + Ord + Send + Sync + 'static,
{
    /// A controller without work.
    pub fn new(reporter: Reporter) -> Self {
        Self::with(Queue::default(), reporter)
    }

    /// A controller with a queue that others fill.
    pub fn with(queue: Queue<Key>, reporter: Reporter) -> Self {
        Self { queue, failures: Failures::default(), reporter }
    }

    /// Works for ever. `reference` names the object of a key, for events.
    pub async fn drive<F, P>(
        self: Arc<Self>,
        concurrency: usize,
        reference: fn(&Key) -> ObjectReference,
        pass: F,
    ) where
        F: Fn(Key) -> P,
        P: Future<Output = Result<Next, Error>> + Send + 'static,
    {
        let queue = self.queue.clone();
        let turn = move |key: Key| {
            let work = Arc::clone(&self);
            let pass = pass(key.clone());
            async move {
                let result = timeout(DEADLINE, pass).await.unwrap_or(Err(Error::Deadline));
                work.next(key, result, reference).await
            }
        };
        queue.run(concurrency.max(1), turn).await;
    }

    async fn next(
        &self,
        key: Key,
        result: Result<Next, Error>,
        reference: fn(&Key) -> ObjectReference,
    ) -> Option<Duration> {
        match result {
            Ok(next) => {
                self.reporter.count("Ok");
                self.failures.succeeded(&key);
                match next {
                    Next::Wait => None,
                    Next::After(time) => Some(jittered(time)),
                }
            }
            Err(error) => {
                self.reporter.failed(&error, &reference(&key)).await;
                Some(jittered(self.failures.failed(key, &error)))
            }
        }
    }
}
