//! A registry that answers as it is told, and remembers what it was asked and how much it sent.
//!
//! It answers as a proxy as well: what is asked of any other host by plain HTTP comes here too, so
//! that a test sees who would have been asked, and nothing leaves this host.

use axum::{Router, body::Body, extract::Request, http::header::AUTHORIZATION, response::Response};
use bytes::Bytes;
use futures::stream;
use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{net::TcpListener, task::JoinHandle};

/// Bytes of a piece of [`long`].
const PIECE: usize = 1 << 16;

/// A registry on the loopback interface, which ends with this.
pub struct Registry {
    /// Host and port.
    pub address: String,
    requests: Arc<Mutex<Vec<SeenRequest>>>,
    serving: JoinHandle<()>,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRequest {
    /// The URI: a path, or all of it where a proxy was asked.
    pub uri: String,
    /// What it came with.
    pub authorization: Option<String>,
}

impl Registry {
    /// Starts one.
    pub async fn start(
        answer: impl Fn(&SeenRequest) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        let requests = Arc::new(Mutex::new(vec![]));
        let noted = Arc::clone(&requests);
        let router = Router::new().fallback(move |request: Request| {
            let authorization = request.headers().get(AUTHORIZATION);
            let authorization = authorization.and_then(|it| it.to_str().ok()).map(str::to_owned);
            let seen = SeenRequest { uri: request.uri().to_string(), authorization };
            noted.lock().unwrap_or_else(PoisonError::into_inner).push(seen.clone());
            let response = answer(&seen);
            async move { response }
        });
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves until it is aborted");
        });
        Self { address, requests, serving }
    }

    /// The requests that it has received.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The URIs that it was asked for.
    pub fn uris(&self) -> Vec<String> {
        self.requests().into_iter().map(|seen| seen.uri).collect()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A body of so many bytes, and a count of those that were taken.
pub fn long(bytes: usize, sent: &Arc<AtomicUsize>) -> Body {
    let sent = Arc::clone(sent);
    let piece = Bytes::from(vec![b' '; PIECE]);
    let pieces = std::iter::repeat_n(piece, bytes / PIECE).inspect(move |piece| {
        sent.fetch_add(piece.len(), Ordering::Relaxed);
    });
    Body::from_stream(stream::iter(pieces.map(Ok::<_, io::Error>)))
}
