//! Bodies that report when they wait, and when they end.

use super::{connection::Connection, limits::Limits};
use axum::body::Body;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use metal_base::Locked;
use std::{
    error::Error,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// How much of an unread body is discarded before the answer.
const DISCARDED: usize = 16 << 20;

type BoxError = Box<dyn Error + Send + Sync>;

/// The part of a request body that a handler has not read.
#[derive(Clone, Debug, Default)]
pub(super) struct Rest(Arc<Mutex<Option<Unread>>>);

/// The rest of a body.
#[derive(Debug)]
struct Unread {
    body: Incoming,
    /// Whether any of it was requested: a client that waits for a `100 Continue` sends nothing
    /// before that.
    begun: bool,
}

impl Rest {
    /// Discards, for a moment, what is still being sent: a client that is writing while the
    /// connection is closed gets an error, and never reads the response. `expects` is whether it
    /// waits for a `100 Continue`.
    pub(super) async fn discard(self, expects: bool, limit: Duration) {
        let unread = self.0.locked().take();
        match unread {
            Some(unread) if unread.begun || !expects => discard(unread.body, limit).await,
            Some(_) | None => {}
        }
    }
}

/// Reads a body, within limits of size and time, and discards it.
pub(super) async fn discard(mut body: Incoming, limit: Duration) {
    let all = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > DISCARDED {
                return;
            }
        }
    };
    timeout(limit, all).await.ok();
}

/// A body that is handed back if it is dropped before its end.
#[derive(Debug)]
struct RequestBody {
    body: Option<Unread>,
    rest: Rest,
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(unread) = &mut self.body else { return Poll::Ready(None) };
        unread.begun = true;
        let frame = Pin::new(&mut unread.body).poll_frame(cx);
        if let Poll::Ready(None | Some(Err(_))) = frame {
            self.body = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(|unread| unread.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), |unread| unread.body.size_hint())
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let unread = self.body.take().filter(|unread| !unread.body.is_end_stream());
        *self.rest.0.locked() = unread;
    }
}

/// The body of a request, of limited size.
#[derive(Debug)]
pub(super) struct LimitedRequestBody {
    body: Limited<RequestBody>,
    limits: Limits,
    connection: Arc<Connection>,
}

impl LimitedRequestBody {
    /// The body, and a handle on what will be left of it.
    pub(super) fn new(body: Incoming, limits: Limits, connection: Arc<Connection>) -> (Self, Rest) {
        let most = usize::try_from(limits.body_bytes).unwrap_or(usize::MAX);
        let rest = Rest::default();
        let lent = RequestBody { body: Some(Unread { body, begun: false }), rest: rest.clone() };
        (Self { body: Limited::new(lent, most), limits, connection }, rest)
    }
}

impl HttpBody for LimitedRequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let now = Instant::now();
        self.connection.body_awaited(now);
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match &frame {
            Poll::Pending => self.connection.waits(now),
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.connection.moved(bytes, now, &self.limits);
            }
            Poll::Ready(Some(Err(_)) | None) => self.connection.body_ended(),
        }
        if self.body.is_end_stream() {
            self.connection.body_ended();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for LimitedRequestBody {
    fn drop(&mut self) {
        self.connection.body_ended();
    }
}

/// The body of a response.
#[derive(Debug)]
pub(super) struct ResponseBody {
    body: Body,
    connection: Arc<Connection>,
}

impl ResponseBody {
    pub(super) fn new(body: Body, connection: Arc<Connection>) -> Self {
        Self { body, connection }
    }
}

impl HttpBody for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ResponseBody {
    /// Nothing more will be produced: the body is complete, or no longer wanted.
    fn drop(&mut self) {
        self.connection.answered();
    }
}
