//! A BMC on an ephemeral port, made of JSON documents, with faults by path.

pub(crate) use crate::fault::Fault;

use crate::{
    documents::documents,
    responder::{Responder, answer},
};
use axum::{
    Router,
    http::{HeaderMap, Method},
    serve::ListenerExt,
};
use metal_bmc::{Config, Connect, Error, Fleet, Limits, Redfish, Target};
use metal_core::redfish::{Credentials, Scheme};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    error::Error as _,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{net::TcpListener, task::AbortHandle};

/// The BMC. It ends when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct FakeRedfish {
    inner: Arc<Mutex<Responder>>,
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

/// Limits for a BMC that does not answer: short enough to wait for, and long enough for one that answers while other
/// programs have the processor.
pub(crate) fn impatient() -> Limits {
    let short = Duration::from_secs(4);
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
        let inner = Arc::new(Mutex::new(Responder { documents, ..Responder::default() }));
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

    fn lock(&self) -> std::sync::MutexGuard<'_, Responder> {
        self.inner.lock().unwrap()
    }
}

/// A refusal in the words of the standard.
pub(crate) fn refusal(id: &str, args: &[&str]) -> Value {
    json!({"error": {"@Message.ExtendedInfo": [
        {"MessageId": format!("Base.1.8.{id}"), "Message": "not like this", "MessageArgs": args}]}})
}
