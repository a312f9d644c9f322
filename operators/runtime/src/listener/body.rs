//! Bodies that tell when they wait, and when they end.

use super::{connection::Connection, limits::Limits};
use axum::body::Body;
use http_body_util::Limited;
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use std::{
    error::Error,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::time::Instant;

type Boxed = Box<dyn Error + Send + Sync>;

/// The body of a request, of limited size.
#[derive(Debug)]
pub(super) struct Received {
    body: Limited<Incoming>,
    limits: Limits,
    connection: Arc<Connection>,
}

impl Received {
    pub(super) fn new(body: Incoming, limits: Limits, connection: Arc<Connection>) -> Self {
        let most = usize::try_from(limits.body_bytes).unwrap_or(usize::MAX);
        Self { body: Limited::new(body, most), limits, connection }
    }
}

impl HttpBody for Received {
    type Data = Bytes;
    type Error = Boxed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Boxed>>> {
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

impl Drop for Received {
    fn drop(&mut self) {
        self.connection.body_ended();
    }
}

/// The body of a response.
#[derive(Debug)]
pub(super) struct Sent {
    body: Body,
    connection: Arc<Connection>,
}

impl Sent {
    pub(super) fn new(body: Body, connection: Arc<Connection>) -> Self {
        Self { body, connection }
    }
}

impl HttpBody for Sent {
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

impl Drop for Sent {
    /// All of it is made, and none of it is wanted any longer.
    fn drop(&mut self) {
        self.connection.answered();
    }
}
