//! One HTTP response from a blob, or from something made of one (RFC 9110, sections 8.8, 13 and
//! 14).
//!
//! UEFI firmware sizes its buffer by the response to HEAD, and resumes downloads with `Range`.

use crate::{
    range::{RequestedRange, wanted},
    store::Blob,
};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream::BoxStream};
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode,
    header::{
        ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, IF_MATCH,
        IF_NONE_MATCH, IF_RANGE, RANGE,
    },
};
use std::{
    io,
    ops::Range,
    pin::Pin,
    task::{Context, Poll},
};

/// Immutable content that can be sent whole or in part.
pub trait Content {
    /// Identifies the content: letters, digits and punctuation.
    fn tag(&self) -> String;

    /// Its size in bytes.
    fn size(&self) -> u64;

    /// Some of its bytes.
    fn read(&self, range: Range<u64>) -> BoxStream<'static, io::Result<Bytes>>;
}

impl Content for Blob {
    fn tag(&self) -> String {
        self.digest().to_string()
    }

    fn size(&self) -> u64 {
        self.size()
    }

    fn read(&self, range: Range<u64>) -> BoxStream<'static, io::Result<Bytes>> {
        self.read(range)
    }
}

/// Body of a response. An error in the stream means that what was sent so far must not be trusted;
/// the connection has to be aborted, which servers do on an error.
pub enum Body {
    /// Nothing.
    Empty,
    /// The content, or part of it.
    Content(BoxStream<'static, io::Result<Bytes>>),
}

impl Stream for Body {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Content(bytes) => bytes.poll_next_unpin(cx),
        }
    }
}

/// Answers a GET or HEAD request for `content`: always with `Content-Length`, and with 206, 304, 412
/// or 416 where the request's headers ask for it.
pub fn respond(
    method: &Method,
    request: &HeaderMap,
    content: &impl Content,
    content_type: &'static str,
) -> Response<Body> {
    let (etag, size) = (format!("\"{}\"", content.tag()), content.size());
    let mut response = Response::new(Body::Empty);
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(ETAG, value(&etag));
    if !is_wanted(request, &etag) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
        *response.status_mut() = StatusCode::PRECONDITION_FAILED;
        return response;
    }
    if is_known(request, &etag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    match range(method, request, &etag, size) {
        RequestedRange::Unsatisfiable => {
            headers.insert(CONTENT_RANGE, value(&format!("bytes */{size}")));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
        }
        RequestedRange::Part(part) => {
            let text = format!("bytes {}-{}/{size}", part.start, part.end - 1);
            headers.insert(CONTENT_RANGE, value(&text));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            *response.body_mut() = Body::Content(content.read(part));
        }
        RequestedRange::Whole => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
            if method != Method::HEAD {
                *response.body_mut() = Body::Content(content.read(0..size));
            }
        }
    }
    response
}

fn range(method: &Method, request: &HeaderMap, etag: &str, size: u64) -> RequestedRange {
    let same = text(request, IF_RANGE).is_none_or(|known| known == etag);
    match text(request, RANGE) {
        // `Range` is defined for GET only.
        Some(value) if same && method == Method::GET => wanted(value, size),
        Some(_) | None => RequestedRange::Whole,
    }
}

/// By `If-Match`, which compares strongly (RFC 9110, section 13.1.1).
fn is_wanted(request: &HeaderMap, etag: &str) -> bool {
    !request.contains_key(IF_MATCH) || tags(request, IF_MATCH).any(|tag| tag == etag || tag == "*")
}

/// By `If-None-Match`, which compares weakly (RFC 9110, section 13.1.2).
fn is_known(request: &HeaderMap, etag: &str) -> bool {
    let known = tags(request, IF_NONE_MATCH);
    known.map(|tag| tag.strip_prefix("W/").unwrap_or(tag)).any(|tag| tag == etag || tag == "*")
}

/// The entity tags of a header, which may have several lines.
fn tags(request: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = request.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("digits, letters and punctuation of ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Ten;

    impl Content for Ten {
        fn tag(&self) -> String {
            "ten".to_owned()
        }

        fn size(&self) -> u64 {
            10
        }

        fn read(&self, _: Range<u64>) -> BoxStream<'static, io::Result<Bytes>> {
            futures::stream::empty().boxed()
        }
    }

    /// The status of a response to a request for the second half, with these headers.
    fn status(headers: &[(HeaderName, &'static str)]) -> u16 {
        let range = (RANGE, HeaderValue::from_static("bytes=5-9"));
        let mut request = HeaderMap::from_iter([range]);
        for (name, value) in headers {
            request.append(name, HeaderValue::from_static(value));
        }
        respond(&Method::GET, &request, &Ten, "a/b").status().as_u16()
    }

    #[test]
    fn a_part_of_something_else_is_refused_by_if_match() {
        for (tag, expected) in [
            ("\"ten\"", 206),
            ("*", 206),
            ("\"nine\", \"ten\"", 206),
            ("\"nine\"", 412),
            ("W/\"ten\"", 412),
            ("", 412),
        ] {
            assert_eq!(status(&[(IF_MATCH, tag)]), expected, "{tag}");
        }
        assert_eq!(status(&[(IF_MATCH, "\"nine\""), (IF_MATCH, "\"ten\"")]), 206);
        assert_eq!(status(&[(IF_MATCH, "\"nine\""), (IF_NONE_MATCH, "\"ten\"")]), 412);
        assert_eq!(status(&[(IF_MATCH, "\"ten\""), (IF_NONE_MATCH, "\"ten\"")]), 304);
    }

    #[test]
    fn what_is_known_may_be_said_in_several_lines() {
        let known = [(IF_NONE_MATCH, "\"nine\""), (IF_NONE_MATCH, "W/\"ten\"")];
        assert_eq!((status(&known), status(&known[..1])), (304, 206));
    }
}
