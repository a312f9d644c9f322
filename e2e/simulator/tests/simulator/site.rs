//! A minimal boot service and registry: serves what a test puts there.

use axum::{
    Json, Router,
    extract::{ConnectInfo, Path, Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use metal_api::inventory::Registration;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// A boot service and a registry on one port.
pub(crate) struct Site {
    address: SocketAddr,
    seen: Arc<Seen>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    files: Mutex<BTreeMap<String, String>>,
    requests: Mutex<Vec<String>>,
    peers: Mutex<Vec<IpAddr>>,
    forwarded: Mutex<Vec<String>>,
    reports: Mutex<Vec<(String, Registration)>>,
    refusals: Mutex<u32>,
    /// How many more 503 answers there are, by path.
    busy: Mutex<BTreeMap<String, u32>>,
}

impl Site {
    /// Serves nothing yet.
    pub(crate) async fn start() -> Self {
        let seen = Arc::new(Seen::default());
        let router = Router::new()
            .route("/t/{token}/register", post(register))
            .fallback(file)
            .with_state(Arc::clone(&seen))
            .into_make_service_with_connect_info::<SocketAddr>();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, seen, server }
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Serves `text` at this path, with `{site}` replaced by the address.
    pub(crate) fn put(&self, path: impl Into<String>, text: &str) {
        let text = text.replace("{site}", &self.url(""));
        self.seen.files.lock().unwrap().insert(path.into(), text);
    }

    /// Makes this path answer 503 `times` times.
    pub(crate) fn busy(&self, path: impl Into<String>, times: u32) {
        self.seen.busy.lock().unwrap().insert(path.into(), times);
    }

    /// Makes the registry refuse `count` reports.
    pub(crate) fn refuse_reports(&self, count: u32) {
        *self.seen.refusals.lock().unwrap() = count;
    }

    /// Method and path of every request for a file, in order.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// The senders of those requests.
    pub(crate) fn peers(&self) -> Vec<IpAddr> {
        self.seen.peers.lock().unwrap().clone()
    }

    /// Every `X-Forwarded-For`.
    pub(crate) fn forwarded(&self) -> Vec<String> {
        self.seen.forwarded.lock().unwrap().clone()
    }

    /// Token and body of every report that was accepted.
    pub(crate) fn reports(&self) -> Vec<(String, Registration)> {
        self.seen.reports.lock().unwrap().clone()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn file(
    State(seen): State<Arc<Seen>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let path = request.uri().path();
    seen.peers.lock().unwrap().push(peer.ip());
    seen.requests.lock().unwrap().push(format!("{} {path}", request.method()));
    if let Some(forwarded) = headers.get("x-forwarded-for") {
        seen.forwarded.lock().unwrap().push(forwarded.to_str().unwrap().to_owned());
    }
    if let Some(left) = seen.busy.lock().unwrap().get_mut(path).filter(|left| **left > 0) {
        *left -= 1;
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let found = seen.files.lock().unwrap().get(path).cloned();
    let Some(text) = found else { return StatusCode::NOT_FOUND.into_response() };
    let range = headers.get("range").and_then(|range| range.to_str().ok());
    let range = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let mut response = match range {
        Some((first, last)) => {
            let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
            (StatusCode::PARTIAL_CONTENT, text[first..=last].to_owned()).into_response()
        }
        None => text.into_response(),
    };
    response.headers_mut().insert("accept-ranges", "bytes".parse().unwrap());
    response
}

async fn register(
    State(seen): State<Arc<Seen>>,
    Path(token): Path<String>,
    Json(registration): Json<Registration>,
) -> StatusCode {
    let mut refusals = seen.refusals.lock().unwrap();
    if *refusals > 0 {
        *refusals -= 1;
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    seen.reports.lock().unwrap().push((token, registration));
    StatusCode::CREATED
}
