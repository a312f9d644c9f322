//! A BMC on an ephemeral port, made of JSON documents, with faults by path.

pub(crate) use crate::fault::Fault;

use crate::{
    documents::{documents, merge},
    fault::{error, fail, half},
};
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
    serve::ListenerExt,
};
use metal_bmc::{Config, Connect, Error, Fleet, Limits, Redfish, Target};
use metal_core::redfish::{Credentials, Scheme};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error as _,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{net::TcpListener, task::AbortHandle};

/// Judges a write: `None` accepts it.
type Judge = Box<dyn Fn(&Method, &str, &HeaderMap, &Value) -> Option<(u16, Value)> + Send>;

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a habit of its own")]
struct Inner {
    judge: Option<Judge>,
    documents: BTreeMap<String, Value>,
    faults: BTreeMap<String, Fault>,
    log: Vec<String>,
    bodies: Vec<Value>,
    headers: Vec<HeaderMap>,
    sessions: Vec<String>,
    issued: u32,
    version: u32,
    stale_etags: u32,
    any_etag: bool,
    has_etags: bool,
    login: Option<(u16, String)>,
    refuses_basic: bool,
    cuts_refusals: bool,
    without_session: Option<Fault>,
    task_looks: u32,
}

/// The BMC. It ends when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct FakeRedfish {
    inner: Arc<Mutex<Inner>>,
    connections: Arc<AtomicU64>,
    port: u16,
    _server: Arc<Server>,
}

struct Server(AbortHandle);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The credentials that it accepts.
pub(crate) fn credentials() -> Credentials {
    Credentials { username: "admin".to_owned(), password: "s3cret-word".to_owned() }
}

/// The causes of an error, without the error itself.
pub(crate) fn chain(error: &Error) -> String {
    let (mut texts, mut cause) = (vec![], error.source());
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    texts.join(": ")
}

/// Limits for a BMC that answers.
pub(crate) fn patient() -> Limits {
    Limits { task_poll: Duration::from_millis(1), ..Limits::default() }
}

/// Limits for a BMC that does not answer, short enough to wait for.
pub(crate) fn impatient() -> Limits {
    let short = Duration::from_millis(500);
    Limits { tls: short, headers: short, body: short, ..patient() }
}

impl FakeRedfish {
    /// A BMC with these documents.
    pub(crate) async fn start(documents: Value) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let documents = match documents {
            Value::Object(documents) => documents.into_iter().collect(),
            other => panic!("{other}"),
        };
        let inner = Arc::new(Mutex::new(Inner { documents, ..Inner::default() }));
        let connections = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&connections);
        let listener = listener.tap_io(move |_| {
            counted.fetch_add(1, SeqCst);
        });
        let app = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        let server = tokio::spawn(axum::serve(listener, app).into_future());
        let server = Arc::new(Server(server.abort_handle()));
        Self { inner, connections, port, _server: server }
    }

    /// A BMC with one usual machine.
    pub(crate) async fn machine() -> Self {
        Self::start(documents()).await
    }

    pub(crate) fn target(&self) -> Target {
        let address = IpAddr::from(Ipv4Addr::LOCALHOST);
        Target { scheme: Scheme::Http, host: address.into(), port: self.port }
    }

    /// A fleet with these limits, and this BMC in it.
    pub(crate) fn fleet(&self, limits: Limits) -> (Fleet, Redfish) {
        let fleet = Fleet::new(Config { limits, ..Config::default() });
        let bmc = fleet.connect(&self.target(), &credentials());
        (fleet, bmc)
    }

    /// This BMC in a fleet of its own.
    pub(crate) fn bmc(&self) -> Redfish {
        self.fleet(patient()).1
    }

    pub(crate) fn edit(&self, path: &str, edit: impl FnOnce(&mut Value)) {
        edit(self.lock().documents.entry(path.to_owned()).or_default());
    }

    pub(crate) fn remove(&self, path: &str) {
        self.lock().documents.remove(path);
    }

    pub(crate) fn fault(&self, path: &str, fault: Fault) {
        self.lock().faults.insert(path.to_owned(), fault);
    }

    pub(crate) fn repair(&self) {
        self.lock().faults.clear();
    }

    /// Judges every PATCH and POST in this way. An accepted PATCH changes its document.
    pub(crate) fn judge(
        &self,
        judge: impl Fn(&Method, &str, &HeaderMap, &Value) -> Option<(u16, Value)> + Send + 'static,
    ) {
        self.lock().judge = Some(Box::new(judge));
    }

    /// Answers every login with this.
    pub(crate) fn answer_logins(&self, status: u16, body: &str) {
        self.lock().login = Some((status, body.to_owned()));
    }

    /// Grants sessions again.
    pub(crate) fn allow_logins(&self) {
        self.lock().login = None;
    }

    /// Accepts requests only with a session.
    pub(crate) fn refuse_basic(&self) {
        self.lock().refuses_basic = true;
    }

    /// Cuts off the body of every 401.
    pub(crate) fn cut_refusals(&self, cuts: bool) {
        self.lock().cuts_refusals = cuts;
    }

    /// Answers requests without a session in this way.
    pub(crate) fn answer_without_session(&self, fault: Fault) {
        self.lock().without_session = Some(fault);
    }

    /// Ends all sessions.
    pub(crate) fn expire(&self) {
        self.lock().sessions.clear();
    }

    /// Requires `If-Match`, and fails this many matching ones as if somebody else had written.
    pub(crate) fn use_etags(&self, stale: u32) {
        let mut inner = self.lock();
        (inner.has_etags, inner.stale_etags) = (true, stale);
    }

    /// Accepts `*`, whatever the ETag is.
    pub(crate) fn accept_any_etag(&self) {
        self.lock().any_etag = true;
    }

    /// `METHOD path` of every request so far.
    pub(crate) fn log(&self) -> Vec<String> {
        self.lock().log.clone()
    }

    /// Every JSON body it got, except those of logins.
    pub(crate) fn bodies(&self) -> Vec<Value> {
        self.lock().bodies.clone()
    }

    /// The values of one header, in all requests so far.
    pub(crate) fn header(&self, name: &str) -> Vec<Option<String>> {
        let value = |headers: &HeaderMap| Some(headers.get(name)?.to_str().ok()?.to_owned());
        self.lock().headers.iter().map(value).collect()
    }

    /// Sessions that are open.
    pub(crate) fn sessions(&self) -> usize {
        self.lock().sessions.len()
    }

    /// Sessions that were ever opened.
    pub(crate) fn logins(&self) -> u32 {
        self.lock().issued
    }

    /// Every `Host` that was asked for.
    pub(crate) fn hosts(&self) -> Vec<String> {
        let headers = self.lock().headers.clone();
        let hosts = headers.iter().filter_map(|all| all.get("host")?.to_str().ok());
        let hosts: BTreeSet<_> = hosts.map(str::to_owned).collect();
        hosts.into_iter().collect()
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(SeqCst)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }
}

async fn answer(State(inner): State<Arc<Mutex<Inner>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let path = head.uri.path_and_query().unwrap().to_string();
    let fault = {
        let mut inner = inner.lock().unwrap();
        inner.log.push(format!("{} {path}", head.method));
        inner.headers.push(head.headers.clone());
        let is_open = path == "/redfish/v1/" || path == "/redfish/v1/SessionService/Sessions";
        let of_session = inner.without_session.clone();
        let of_session = of_session.filter(|_| !is_open && !inner.is_authorized(&head.headers));
        inner.faults.get(&path).cloned().or(of_session)
    };
    if let Some(Fault::Close) = fault {
        let answer = inner.lock().unwrap().answer(&head.method, &path, &head.headers, body);
        return ([(header::CONNECTION, "close")], answer).into_response();
    }
    let strikes = |fault: &Fault| match fault {
        Fault::OnPatch(_) => head.method == Method::PATCH,
        _ => true,
    };
    match fault.filter(strikes) {
        None => inner.lock().unwrap().answer(&head.method, &path, &head.headers, body),
        Some(fault) => fail(fault).await,
    }
}

impl Inner {
    fn answer(
        &mut self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: Value,
    ) -> Response {
        let sessions = "/redfish/v1/SessionService/Sessions";
        if method == Method::POST && path == sessions {
            return self.log_in(&body);
        }
        if path == "/redfish/v1/" {
            return self.document(path);
        }
        if !self.is_authorized(headers) {
            if self.cuts_refusals {
                return (StatusCode::UNAUTHORIZED, half()).into_response();
            }
            return error(StatusCode::UNAUTHORIZED, "who are you?");
        }
        if *method == Method::PATCH || *method == Method::POST {
            let refusal = self.judge.as_ref().and_then(|judge| judge(method, path, headers, &body));
            if let Some((status, answer)) = refusal {
                self.bodies.push(body);
                return (StatusCode::from_u16(status).unwrap(), answer.to_string()).into_response();
            }
        }
        match *method {
            Method::PATCH if self.judge.is_some() => {
                merge(self.documents.entry(path.to_owned()).or_default(), &body);
                self.bodies.push(body);
                StatusCode::NO_CONTENT.into_response()
            }
            Method::DELETE => {
                self.sessions.retain(|session| !path.ends_with(session.as_str()));
                StatusCode::NO_CONTENT.into_response()
            }
            Method::PATCH => {
                self.bodies.push(body);
                self.patch(path, headers)
            }
            Method::POST => {
                self.bodies.push(body);
                post(path)
            }
            _ => self.document(path),
        }
    }

    fn log_in(&mut self, body: &Value) -> Response {
        if let Some((status, text)) = &self.login {
            return (StatusCode::from_u16(*status).unwrap(), text.clone()).into_response();
        }
        if *body != json!({"UserName": "admin", "Password": "s3cret-word"}) {
            return error(StatusCode::UNAUTHORIZED, "s3cret-word would be right");
        }
        self.issued += 1;
        let session = format!("session-{}", self.issued);
        self.sessions.push(session.clone());
        let uri = format!("/redfish/v1/SessionService/Sessions/{session}");
        let headers = [("x-auth-token", session.as_str()), ("location", &uri)];
        (StatusCode::CREATED, headers, json!({"@odata.id": uri}).to_string()).into_response()
    }

    fn is_authorized(&self, headers: &HeaderMap) -> bool {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let basic = header("authorization") == Some("Basic YWRtaW46czNjcmV0LXdvcmQ=");
        basic && !self.refuses_basic
            || header("x-auth-token")
                .is_some_and(|token| self.sessions.iter().any(|session| session == token))
    }

    fn etag(&self) -> String {
        format!("\"{}\"", self.version)
    }

    fn document(&mut self, path: &str) -> Response {
        if path == "/redfish/v1/TaskService/Tasks/1" {
            self.task_looks += 1;
            let state = if self.task_looks < 3 { "Running" } else { "Completed" };
            return json!({"TaskState": state}).to_string().into_response();
        }
        let Some(document) = self.documents.get(path) else {
            return error(StatusCode::NOT_FOUND, "no such resource");
        };
        let mut response = document.to_string().into_response();
        if self.has_etags {
            response.headers_mut().insert(header::ETAG, self.etag().parse().unwrap());
        }
        response
    }

    fn patch(&mut self, path: &str, headers: &HeaderMap) -> Response {
        if !self.documents.contains_key(path) {
            return error(StatusCode::METHOD_NOT_ALLOWED, "not here");
        }
        if self.has_etags {
            let given = headers.get(header::IF_MATCH).map(|etag| etag.to_str().unwrap().to_owned());
            let Some(given) = given else {
                return error(StatusCode::PRECONDITION_REQUIRED, "If-Match is missing");
            };
            if self.stale_etags > 0 && !(self.any_etag && given == "*") {
                self.stale_etags -= 1;
                self.version += 1;
                return error(StatusCode::PRECONDITION_FAILED, "somebody was faster");
            }
            if given != self.etag() && given != "*" {
                return error(StatusCode::PRECONDITION_FAILED, "that is old");
            }
        }
        StatusCode::NO_CONTENT.into_response()
    }
}

/// A refusal in the words of the standard.
pub(crate) fn refusal(id: &str, args: &[&str]) -> Value {
    json!({"error": {"@Message.ExtendedInfo": [
        {"MessageId": format!("Base.1.8.{id}"), "Message": "not like this", "MessageArgs": args}]}})
}

fn post(path: &str) -> Response {
    if path.ends_with("/SlowReset") {
        let location = [(header::LOCATION, "/redfish/v1/TaskService/Tasks/1")];
        return (StatusCode::ACCEPTED, location).into_response();
    }
    StatusCode::NO_CONTENT.into_response()
}
