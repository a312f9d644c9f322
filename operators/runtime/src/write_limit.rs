//! Limits the number of concurrent writes to the API server.

use futures::future::BoxFuture;
use http::{Method, Request};
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use tokio::sync::Semaphore;
use tower::Service;

/// How many. A kube-apiserver on two cores is busy with five; more would only queue up there, in
/// everybody's way, and a slow API server would have to process hundreds of ours before the next
/// renewal of a lease.
const UNDER_WAY: usize = 16;
/// Writes of leases never wait.
const LEASES: &str = "/apis/coordination.k8s.io/";

/// A client's service with at most [`UNDER_WAY`] concurrent writes, each of which ends with the
/// header of its response. Reads and watches are not limited, because their number is known.
pub(crate) struct Bounded<S> {
    inner: S,
    writes: Arc<Semaphore>,
}

impl<S> Bounded<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner, writes: Arc::new(Semaphore::new(UNDER_WAY)) }
    }
}

impl<S, B> Service<Request<B>> for Bounded<S>
where
    S: Service<Request<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let free = request.method() == Method::GET || request.uri().path().starts_with(LEASES);
        // Nothing is sent before the future is polled.
        let answer = self.inner.call(request);
        if free {
            return Box::pin(answer);
        }
        let writes = Arc::clone(&self.writes);
        Box::pin(async move {
            // The semaphore is never closed; even if it were, a write without a turn would do no
            // harm.
            let _turn = writes.acquire_owned().await.ok();
            answer.await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Response;
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };
    use tokio::{task::JoinSet, time::sleep};
    use tower::{ServiceExt as _, service_fn};

    #[tokio::test(start_paused = true)]
    async fn writes_wait_for_their_turn_and_all_of_them_get_one() {
        assert_eq!(most_at_once(Method::PATCH, "/api/v1/nodes/a").await, UNDER_WAY);
    }

    #[tokio::test(start_paused = true)]
    async fn reads_and_leases_never_wait() {
        assert_eq!(most_at_once(Method::GET, "/api/v1/nodes").await, 5 * UNDER_WAY);
        let lease = "/apis/coordination.k8s.io/v1/namespaces/default/leases/a";
        assert_eq!(most_at_once(Method::PUT, lease).await, 5 * UNDER_WAY);
    }

    /// How many of five times as many requests are in progress at once.
    async fn most_at_once(method: Method, path: &'static str) -> usize {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counts = (Arc::clone(&now), Arc::clone(&most));
        let mut service = Bounded::new(service_fn(move |_: Request<()>| {
            let (now, most) = counts.clone();
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                sleep(Duration::from_millis(5)).await;
                now.fetch_sub(1, Ordering::Relaxed);
                Ok::<_, Infallible>(Response::new(()))
            }
        }));
        let mut sent = JoinSet::new();
        for _ in 0..5 * UNDER_WAY {
            let request = Request::builder().method(&method).uri(path).body(()).unwrap();
            sent.spawn(service.ready().await.unwrap().call(request));
        }
        assert!(sent.join_all().await.into_iter().all(|answer| answer.is_ok()));
        most.load(Ordering::Relaxed)
    }
}
