//! What stands before the registry.

use anyhow::Result;
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::IntoResponse,
};
use http::StatusCode;
use reqwest::Client;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::net::TcpListener;

/// What stands before the registry, and counts how often layers are fetched.
pub(super) struct Front {
    pub(super) address: SocketAddr,
    pulls: Arc<AtomicU64>,
}

impl Front {
    pub(super) async fn start(registry: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, pulls) = (listener.local_addr()?, Arc::<AtomicU64>::default());
        let state = (Client::builder().no_proxy().build()?, registry, Arc::clone(&pulls));
        let router = Router::new().fallback(forward).with_state(state);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { address, pulls })
    }

    /// How often a layer was fetched.
    pub(super) fn pulls(&self) -> u64 {
        self.pulls.load(Ordering::Relaxed)
    }
}

async fn forward(
    State((client, registry, pulls)): State<(Client, SocketAddr, Arc<AtomicU64>)>,
    request: Request,
) -> axum::response::Response {
    let path = request.uri().path();
    if path.contains("/blobs/") && request.method() == http::Method::GET {
        pulls.fetch_add(1, Ordering::Relaxed);
    }
    let asked = client.request(request.method().clone(), format!("http://{registry}{path}"));
    let mut headers = request.headers().clone();
    headers.remove(http::header::HOST);
    match asked.headers(headers).send().await {
        Ok(answer) => http::Response::<reqwest::Body>::from(answer).map(Body::new),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}
