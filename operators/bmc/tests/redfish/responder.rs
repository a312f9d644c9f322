//! What the fake BMC answers.

use crate::{
    documents::merge,
    fault::{Fault, error, fail, half},
};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// Judges a write: `None` accepts it.
pub(crate) type Judge =
    Box<dyn Fn(&Method, &str, &HeaderMap, &Value) -> Option<(u16, Value)> + Send>;

/// The documents of the BMC, what it was asked, and how it behaves.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a habit of its own")]
pub(crate) struct Responder {
    pub(crate) judge: Option<Judge>,
    pub(crate) documents: BTreeMap<String, Value>,
    pub(crate) faults: BTreeMap<String, Fault>,
    pub(crate) log: Vec<String>,
    pub(crate) bodies: Vec<Value>,
    pub(crate) headers: Vec<HeaderMap>,
    pub(crate) sessions: Vec<String>,
    pub(crate) issued: u32,
    pub(crate) version: u32,
    pub(crate) stale_etags: u32,
    pub(crate) any_etag: bool,
    pub(crate) has_etags: bool,
    pub(crate) login: Option<(u16, String)>,
    pub(crate) refuses_basic: bool,
    pub(crate) cuts_refusals: bool,
    pub(crate) without_session: Option<Fault>,
    pub(crate) task_looks: u32,
}

/// Answers one request.
pub(crate) async fn answer(
    State(inner): State<Arc<Mutex<Responder>>>,
    request: Request,
) -> Response {
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

impl Responder {
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

fn post(path: &str) -> Response {
    if path.ends_with("/SlowReset") {
        let location = [(header::LOCATION, "/redfish/v1/TaskService/Tasks/1")];
        return (StatusCode::ACCEPTED, location).into_response();
    }
    StatusCode::NO_CONTENT.into_response()
}
