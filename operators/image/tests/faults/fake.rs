//! A registry that misbehaves as a test tells it to.

use crate::{LIMIT, registries};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use metal_image::{AllowList, Name, Resolver, Store};
use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};

/// A response of the fake registry.
pub(crate) enum Answer {
    Status(StatusCode),
    /// Asks to retry after a second.
    Busy(u16),
    Body(Bytes),
    /// 401 with this challenge, in which HERE is the fake's address.
    Challenge(&'static str),
    /// These bytes of the given total; the connection breaks once the test says they have arrived.
    Broken(Vec<u8>, usize),
    /// The requested range of these bytes.
    Partial(Vec<u8>),
    /// These bytes from the given one on, whatever range was requested.
    PartialFrom(Vec<u8>, usize),
    Chunked(Vec<u8>),
    /// The same, but the connection breaks before the end is marked, once the test says so.
    Endless(Vec<u8>),
    Silence,
}

pub(crate) fn ok(body: impl Into<Bytes>) -> Answer {
    Answer::Body(body.into())
}

pub(crate) fn status(code: u16) -> Answer {
    Answer::Status(StatusCode::from_u16(code).unwrap())
}

/// A registry that gives its responses in order, whatever the request.
pub(crate) struct Fake {
    pub(crate) name: Name,
    state: Arc<Script>,
    serving: JoinHandle<()>,
}

struct Script {
    address: String,
    answers: Mutex<VecDeque<Answer>>,
    requests: Mutex<Vec<(String, HeaderMap)>>,
    received: Notify,
}

impl Fake {
    pub(crate) async fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Script {
            address: address.clone(),
            answers: Mutex::new(answers.into()),
            requests: Mutex::default(),
            received: Notify::new(),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { name: format!("{address}/os").parse().unwrap(), state, serving }
    }

    pub(crate) fn resolver(&self) -> Resolver {
        let allowed = AllowList::new([self.state.address.as_str()]).unwrap();
        Resolver::new(registries(), allowed)
    }

    /// Breaks a broken response.
    pub(crate) fn break_now(&self) {
        self.state.received.notify_one();
    }

    /// Breaks a broken response once `store` has received this many bytes.
    pub(crate) async fn break_after(&self, store: &Store, bytes: u64) {
        let received = async {
            while store.stats().bytes < bytes {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, received).await.unwrap();
        self.break_now();
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.state.requests.lock().unwrap().iter().map(|(path, _)| path.clone()).collect()
    }

    pub(crate) fn authorizations(&self) -> Vec<Option<String>> {
        self.headers(&header::AUTHORIZATION)
    }

    pub(crate) fn ranges(&self) -> Vec<Option<String>> {
        self.headers(&header::RANGE)
    }

    pub(crate) fn headers(&self, name: &header::HeaderName) -> Vec<Option<String>> {
        let requests = self.state.requests.lock().unwrap();
        let value = |headers: &HeaderMap| Some(headers.get(name)?.to_str().unwrap().to_owned());
        requests.iter().map(|(_, headers)| value(headers)).collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A body that breaks after these bytes, once the test says that they have arrived.
fn breaking(script: Arc<Script>, bytes: Vec<u8>) -> Body {
    let pieces = stream::iter([Ok(Bytes::from(bytes))]);
    let breaks = stream::once(async move {
        script.received.notified().await;
        Err(io::Error::other("broken"))
    });
    Body::from_stream(pieces.chain(breaks))
}

async fn answer(State(script): State<Arc<Script>>, request: Request) -> Response {
    let (path, headers) = (request.uri().to_string(), request.headers().clone());
    script.requests.lock().unwrap().push((path, headers.clone()));
    let next = script.answers.lock().unwrap().pop_front();
    match next.expect("a request too many") {
        Answer::Status(status) => status.into_response(),
        Answer::Busy(code) => {
            let status = StatusCode::from_u16(code).unwrap();
            (status, [(header::RETRY_AFTER, "1")]).into_response()
        }
        Answer::Body(body) => body.into_response(),
        Answer::Challenge(challenge) => {
            let challenge = challenge.replace("HERE", &script.address);
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
        }
        Answer::Broken(bytes, size) => {
            ([(header::CONTENT_LENGTH, size.to_string())], breaking(script, bytes)).into_response()
        }
        Answer::Endless(bytes) => breaking(script, bytes).into_response(),
        Answer::Partial(content) => {
            let range = headers[header::RANGE].to_str().unwrap();
            let start: usize = range["bytes=".len()..range.len() - 1].parse().unwrap();
            (StatusCode::PARTIAL_CONTENT, content[start..].to_vec()).into_response()
        }
        Answer::PartialFrom(content, start) => {
            let range = format!("bytes {start}-{}/{}", content.len() - 1, content.len());
            let headers = [(header::CONTENT_RANGE, range)];
            (StatusCode::PARTIAL_CONTENT, headers, content[start..].to_vec()).into_response()
        }
        Answer::Chunked(content) => {
            Body::from_stream(stream::iter([Ok::<_, io::Error>(content)])).into_response()
        }
        Answer::Silence => std::future::pending().await,
    }
}
