mod address;
mod files;
mod httpboot;
mod ignition;
mod image;
mod ipxe;
mod media;
mod stored_boots;
mod window;

use super::{identity::Peer, *};
use crate::testing::{Cluster, Objects, resolver};
use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request},
};
use std::net::SocketAddr;
use tower::ServiceExt;

/// The service, and what it runs on.
struct TestServer {
    state: AppState,
    cluster: Cluster,
    dir: tempfile::TempDir,
}

/// Status, headers and body of an answer.
struct TestResponse {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl TestServer {
    /// A service for which nothing has been listed yet.
    async fn starting() -> Self {
        let cluster = Cluster::default();
        cluster.put_secret("ignition", &[("ignition", crate::testing::IGNITION)]);
        let (state, dir) = crate::testing::state(&cluster, resolver(&["ghcr.io"])).await;
        Self { state, cluster, dir }
    }

    async fn with(objects: Objects) -> Self {
        let server = Self::starting().await;
        objects.fill(&server.state.view).await;
        server
    }

    fn router(self) -> (Router, Cluster, tempfile::TempDir) {
        (router(Arc::new(self.state)), self.cluster, self.dir)
    }

    async fn get(self, path: &str) -> TestResponse {
        let (router, _cluster, _dir) = self.router();
        get(&router, path).await
    }
}

async fn get(router: &Router, path: &str) -> TestResponse {
    ask(router, Method::GET, path, &[], "10.0.0.1").await
}

async fn ask(
    router: &Router,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    peer: &str,
) -> TestResponse {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(Peer(SocketAddr::new(peer.parse().unwrap(), 1)));
    let response = router.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    TestResponse {
        status: head.status.as_u16(),
        headers: head.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}

impl TestResponse {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

#[tokio::test]
async fn only_get_and_head_are_answered() {
    let (router, _cluster, _dir) = TestServer::with(Objects::ready_for_ipxe()).await.router();
    for path in
        ["/ipxe/", "/ipxe/x", "/ignition/x", "/httpboot", "/httpboot/a/b", "/image", "/media/x"]
    {
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            let got = ask(&router, method, path, &[], "10.0.0.1").await;
            assert_eq!(got.status, 405, "{path}");
        }
    }
}

#[tokio::test]
async fn what_is_not_here_is_not_found_in_the_form_of_the_peer() {
    for path in ["/", "/debug/pprof/", "/ignition/", "/httpboot/", "/ignition", "/metrics"] {
        let got = TestServer::with(Objects::default()).await.get(path).await;
        assert_eq!((got.status, got.body.as_str()), (404, "Resource Not Found\n"), "{path}");
        assert_eq!(got.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(got.header("x-content-type-options"), Some("nosniff"));
    }
}

#[tokio::test]
async fn a_path_with_empty_segments_or_dots_leads_to_the_one_without() {
    for (path, expected) in [
        ("//ipxe/", Some("/ipxe/")),
        ("/ipxe//x?y=%2f", Some("/ipxe/x?y=%2f")),
        ("/x/../ipxe/./x", Some("/ipxe/x")),
        ("//host.example/x", Some("/host.example/x")),
        ("/../..", Some("/")),
        ("/nothing", None),
        ("/nothing/", None),
    ] {
        let got = TestServer::with(Objects::default()).await.get(path).await;
        let status = if expected.is_some() { 301 } else { 404 };
        assert_eq!((got.status, got.header("location")), (status, expected), "{path}");
    }
}
