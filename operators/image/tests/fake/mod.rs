//! A registry whose responses a test makes up.

use axum::{Router, extract::Request, http::HeaderMap, response::Response};
use metal_image::Name;
use std::sync::{Arc, Mutex};
use tokio::{net::TcpListener, task::JoinHandle};

/// By which method it was asked for, as if that were a header.
pub(crate) const METHOD: &str = "x-method";

/// A registry that gives the responses it was told to.
pub(crate) struct Fake {
    pub(crate) name: Name,
    pub(crate) address: String,
    asked: Arc<Mutex<Vec<String>>>,
    serving: JoinHandle<()>,
}

impl Fake {
    pub(crate) async fn start(
        answer: impl Fn(&str, &HeaderMap) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(vec![]));
        let note = Arc::clone(&asked);
        let router = Router::new().fallback(move |request: Request| {
            let path = request.uri().to_string();
            note.lock().unwrap().push(path.clone());
            let mut headers = request.headers().clone();
            headers.insert(METHOD, request.method().as_str().parse().unwrap());
            let response = answer(&path, &headers);
            async move { response }
        });
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { name: format!("{address}/os").parse().unwrap(), address, asked, serving }
    }

    /// Every URI that was asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
