//! Encodes answers for HTTP, and applies faults and dialects.

use super::{
    dialect::Dialects,
    reply::{Content, Reply},
};
use crate::faults::Action;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{
    HeaderValue, Response,
    header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use std::{io, time::Duration};
use tokio::time::sleep;

/// Between the first half of a truncated body and the end of its connection.
const FLUSH: Duration = Duration::from_millis(10);

/// What goes over the wire.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;

impl Reply {
    /// Encodes an answer for HTTP, and applies a fault to its body.
    pub(super) fn into_response(
        self,
        fault: Option<&Action>,
        dialects: Dialects<'_>,
    ) -> Response<Body> {
        let (text, kind) = match self.content {
            Content::Empty => (None, None),
            Content::Json(mut value) => {
                if let Some(Action::Fields { remove, set }) = fault {
                    crate::faults::alter(&mut value, remove, set);
                }
                (Some(dialects.written(value.to_string())), Some("application/json;charset=utf-8"))
            }
            Content::Xml(text) => (Some(text.into_bytes()), Some("application/xml;charset=utf-8")),
        };
        let bytes = Bytes::from(text.unwrap_or_default());
        let length = bytes.len();
        let body = match fault {
            Some(Action::Truncate) => truncated(&bytes),
            _ if dialects.cuts(self.status) => truncated(&bytes),
            _ => Full::new(bytes).map_err(|never| match never {}).boxed_unsync(),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        let headers = response.headers_mut();
        headers.insert("odata-version", HeaderValue::from_static("4.0"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if dialects.compresses() && kind.is_some() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if let Some(kind) = kind {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        response
    }

    /// 200 with something that is not JSON.
    pub(super) fn garbage() -> Response<Body> {
        let body = Full::new(Bytes::from_static(b"<html><body>Loading...</body></html>"));
        let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
        let kind = HeaderValue::from_static("application/json;charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response
    }
}

fn truncated(whole: &Bytes) -> Body {
    let half = whole.slice(..whole.len() / 2);
    let first = stream::once(async { Ok(Frame::data(half)) });
    // The pause lets hyper flush its buffer.
    let broken = stream::once(async {
        sleep(FLUSH).await;
        Err(io::Error::new(io::ErrorKind::BrokenPipe, "truncated by a fault"))
    });
    StreamBody::new(first.chain(broken)).boxed_unsync()
}
