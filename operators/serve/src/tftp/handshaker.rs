//! The thread that waits for the clients of all handshakes.

use super::{handshake::TICK, server::Server};
use nix::sys::epoll::EpollEvent;
use std::{sync::atomic::Ordering, thread::Scope, time::Instant};

/// How many answers are handled with one system call.
const EVENTS: usize = 64;

/// Handles them until the server stops.
#[expect(clippy::disallowed_methods, reason = "sleeps on a thread of its own")]
pub(super) fn run<'scope>(server: &'scope Server, scope: &'scope Scope<'scope, '_>) {
    let mut events = [EpollEvent::empty(); EVENTS];
    let mut expired = Instant::now();
    while !server.is_stopping.load(Ordering::Relaxed) {
        let count = server.poller.wait(&mut events).unwrap_or_else(|error| {
            tracing::warn!(%error, "could not read responses");
            std::thread::sleep(TICK);
            0
        });
        server.hear(scope, events[..count].iter().map(EpollEvent::data));
        if expired.elapsed() >= TICK {
            expired = Instant::now();
            server.expire(expired);
        }
    }
    server.dismiss();
}
