//! Values that become known only after a process has begun to serve.

use std::{convert::Infallible, future::pending, sync::Arc};
use tokio::sync::watch;

/// A value that is set later, and may be replaced. Clones share their state.
#[derive(Clone, Debug)]
pub struct Deferred<T>(Arc<watch::Sender<Option<T>>>);

impl<T> Default for Deferred<T> {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl<T> From<T> for Deferred<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(watch::Sender::new(Some(value))))
    }
}

impl<T: Clone> Deferred<T> {
    /// The value, if it is set.
    pub fn get(&self) -> Option<T> {
        self.0.borrow().clone()
    }

    /// Sets or replaces the value.
    pub fn set(&self, value: T) {
        self.0.send_replace(Some(value));
    }

    /// Waits until the value is set.
    pub async fn wait(&self) {
        // The sender lives as long as `self`.
        self.0.subscribe().wait_for(Option::is_some).await.ok();
    }

    /// Calls `then` each time the value is set from now on, forever.
    pub async fn follow(&self, then: impl Fn()) -> Infallible {
        let mut values = self.0.subscribe();
        while values.changed().await.is_ok() {
            then();
        }
        // The sender lives as long as `self`.
        pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::Cell, time::Duration};
    use tokio::time::timeout;

    #[tokio::test(start_paused = true)]
    async fn what_comes_late_is_waited_for_and_may_be_replaced() {
        let late = Deferred::default();
        assert!(timeout(Duration::from_secs(1), late.wait()).await.is_err());
        assert_eq!(late.get(), None);
        late.clone().set(1);
        late.wait().await;
        assert_eq!(late.get(), Some(1));
        late.set(2);
        assert_eq!(late.get(), Some(2));
        assert_eq!(Deferred::from(3).get(), Some(3));
    }

    #[tokio::test(start_paused = true)]
    async fn who_follows_a_value_hears_of_each_that_is_set() {
        let (value, times) = (Deferred::from(1), Cell::new(0));
        let followed = value.follow(|| times.set(times.get() + 1));
        let mut followed = std::pin::pin!(followed);
        for expected in 0..3 {
            assert!(timeout(Duration::from_secs(1), &mut followed).await.is_err());
            assert_eq!(times.get(), expected, "the one that was there is known");
            value.set(expected);
        }
    }
}
