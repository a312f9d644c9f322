//! Answers, before they are encoded for HTTP.

use super::{problem::Problem, view::etag};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{ALLOW, ETAG, WWW_AUTHENTICATE},
};
use serde_json::Value;

/// An answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) content: Content,
}

/// A body.
#[derive(Debug)]
pub(super) enum Content {
    Empty,
    Json(Value),
    Xml(String),
}

impl Reply {
    /// 204.
    pub(super) fn empty() -> Self {
        Self::with(StatusCode::NO_CONTENT, Content::Empty)
    }

    /// A body with a status.
    pub(super) fn with(status: StatusCode, content: Content) -> Self {
        Self { status, headers: HeaderMap::new(), content }
    }

    /// A resource, with its ETag in both places.
    pub(super) fn resource(status: StatusCode, mut body: Value) -> Self {
        let tag = etag(&body);
        if body.get("@odata.id").is_some() {
            body["@odata.etag"] = Value::String(tag.clone());
        }
        Self::with(status, Content::Json(body)).header(ETAG, &tag)
    }

    /// Adds a header, unless its value is not a valid header value.
    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    /// `Allow`.
    pub(super) fn allow(self, methods: &str) -> Self {
        self.header(ALLOW, methods)
    }
}

impl From<Problem> for Reply {
    fn from(problem: Problem) -> Self {
        let reply = Self::with(problem.status(), Content::Json(problem.body()));
        match problem.status() {
            StatusCode::UNAUTHORIZED => reply.header(WWW_AUTHENTICATE, "Basic realm=\"BMC\""),
            _ => reply,
        }
    }
}
