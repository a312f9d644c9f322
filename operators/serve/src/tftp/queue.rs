//! Requests between the threads that take them from the kernel, which they do at once, and the one
//! that answers them. If there are too many, they are dropped here by the rules of [`FairQueue`],
//! and not by the kernel, which only takes the order of arrival into account.

use super::{request::Request, socket::PATIENCE};
use metal_base::{Locked, Source};
use metal_dhcp::fair_queue::{FairQueue, Priority};
use std::{
    net::{IpAddr, SocketAddr},
    sync::{Condvar, Mutex, PoisonError},
};

/// How many requests are queued; each takes some 600 bytes.
const ROOM: usize = 1024;

/// Queued requests.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<FairQueue<Source, Waiting>>,
    came: Condvar,
}

/// A queued request.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) priority: Priority,
    client: SocketAddr,
    here: IpAddr,
    bytes: Box<[u8]>,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self { waiting: Mutex::new(FairQueue::new(ROOM)), came: Condvar::new() }
    }

    /// Queues a request; returns whether this or another one was dropped for it.
    pub(super) fn push(&self, priority: Priority, request: Request<'_>) -> bool {
        let Request { client, here, bytes } = request;
        let waiting = Waiting { priority, client, here, bytes: bytes.into() };
        let mut queue = self.waiting.locked();
        let dropped = queue.push(priority, client.ip().into(), waiting);
        drop(queue);
        self.came.notify_one();
        dropped.is_some()
    }

    /// The next request; `None` if none arrives for a moment.
    pub(super) fn next(&self) -> Option<Waiting> {
        let queue = self.waiting.locked();
        let waited = self.came.wait_timeout_while(queue, PATIENCE, |queue| queue.is_empty());
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        queue.pop()
    }
}

impl Waiting {
    pub(super) fn request(&self) -> Request<'_> {
        Request { client: self.client, here: self.here, bytes: &self.bytes }
    }
}
