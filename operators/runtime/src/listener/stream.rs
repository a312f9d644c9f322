//! A socket that reports what is transferred.

use super::{connection::Connection, limits::Limits};
use socket2::SockRef;
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Instant,
};

/// A socket that reports every byte to its connection.
#[derive(Debug)]
pub(super) struct MonitoredStream {
    socket: TcpStream,
    connection: Arc<Connection>,
    limits: Limits,
}

impl MonitoredStream {
    pub(super) fn new(socket: TcpStream, connection: Arc<Connection>, limits: Limits) -> Self {
        Self { socket, connection, limits }
    }

    /// Records the outcome of a write.
    fn wrote(&self, wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &wrote {
            Poll::Pending => self.connection.waits(Instant::now()),
            Poll::Ready(Ok(bytes)) => self.connection.moved(*bytes, Instant::now(), &self.limits),
            Poll::Ready(Err(_)) => {}
        }
        wrote
    }
}

impl AsyncRead for MonitoredStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.connection.read(Instant::now());
        }
        read
    }
}

impl AsyncWrite for MonitoredStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.wrote(wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.wrote(wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.connection.flushed(Instant::now());
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl Drop for MonitoredStream {
    /// What the peer of a closed connection has not received yet must not stay queued in the
    /// kernel.
    fn drop(&mut self) {
        if self.connection.is_dismissed().is_some() {
            SockRef::from(&self.socket).set_linger(Some(Duration::ZERO)).ok();
        }
    }
}
