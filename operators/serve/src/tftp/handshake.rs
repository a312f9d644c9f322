//! Requests whose clients have not answered yet.

use super::transfer::{Outcome, Running};
use metal_dhcp::tftp::{Id, Step};
use nix::{
    errno::Errno,
    sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags},
};
use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

/// How long the thread sleeps, which is how late anything may be.
pub(super) const TICK: Duration = Duration::from_millis(100);
const TICK_MILLISECONDS: u16 = 100;

/// A request that was answered.
#[derive(Debug)]
pub(super) struct Handshake {
    pub(super) id: Id,
    pub(super) client: SocketAddr,
    /// The file, for the log.
    pub(super) name: String,
    pub(super) began: Instant,
    pub(super) running: Running,
    due: Instant,
    /// Whether its client has requested something else since, so that it is not answered again.
    is_superseded: bool,
}

/// All handshakes.
#[derive(Debug)]
pub(super) struct Handshakes {
    by_id: HashMap<u64, Handshake>,
}

/// Waits for their sockets.
#[derive(Debug)]
pub(super) struct Poller(Epoll);

impl Handshake {
    /// Sends the first answer.
    ///
    /// # Errors
    ///
    /// If the client's host reports that nothing is listening.
    pub(super) fn begin(
        id: Id,
        client: SocketAddr,
        name: String,
        mut running: Running,
    ) -> Result<Self, Outcome> {
        running.first_answer_out()?;
        let began = Instant::now();
        let due = began + running.timeout();
        Ok(Self { id, client, name, began, running, due, is_superseded: false })
    }
}

impl Handshakes {
    pub(super) fn new() -> Self {
        Self { by_id: HashMap::new() }
    }

    pub(super) fn insert(&mut self, handshake: Handshake) {
        self.by_id.insert(handshake.id.into(), handshake);
    }

    pub(super) fn remove(&mut self, id: Id) -> Option<Handshake> {
        self.by_id.remove(&id.into())
    }

    /// The client has repeated its request.
    pub(super) fn ask_again(&mut self, id: Id) {
        if let Some(handshake) = self.by_id.get_mut(&id.into()) {
            // What the kernel refuses is sent again, or expires.
            handshake.running.answer_again().ok();
        }
    }

    /// The client has requested something else.
    pub(super) fn supersede(&mut self, id: Id) {
        if let Some(handshake) = self.by_id.get_mut(&id.into()) {
            handshake.is_superseded = true;
        }
    }

    /// Those that have an answer or have ended, with what follows.
    pub(super) fn heard(&mut self, numbers: impl Iterator<Item = u64>) -> Vec<(Handshake, Next)> {
        let heard = numbers.filter_map(|number| {
            let next = match self.by_id.get_mut(&number)?.running.first_answer() {
                Ok(None) => return None,
                Ok(Some(step)) => Ok(step),
                Err(outcome) => Err(outcome),
            };
            Some((self.by_id.remove(&number)?, next))
        });
        heard.collect()
    }

    /// Repeats what is due, and returns those that have expired.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<(Handshake, Outcome)> {
        let mut ended = Vec::new();
        for (number, handshake) in self.by_id.iter_mut().filter(|(_, it)| it.due <= now) {
            handshake.due = now + handshake.running.timeout();
            let is_over = handshake.is_superseded.then_some(Outcome::Replaced);
            if let Some(outcome) = is_over.or_else(|| handshake.running.expire().err()) {
                ended.push((*number, outcome));
            }
        }
        let take = |(number, outcome)| Some((self.by_id.remove(&number)?, outcome));
        ended.into_iter().filter_map(take).collect()
    }

    pub(super) fn drain(&mut self) -> Vec<Handshake> {
        self.by_id.drain().map(|(_, handshake)| handshake).collect()
    }
}

/// What follows: the step to take after the client's answer, or the end.
pub(super) type Next = Result<Step, Outcome>;

impl Poller {
    /// # Errors
    ///
    /// If the kernel has no room for it.
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?))
    }

    /// Also waits for this one, until its socket is closed.
    ///
    /// # Errors
    ///
    /// If the kernel has no room for it.
    pub(super) fn register(&self, id: Id, running: &Running) -> io::Result<()> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, id.into());
        self.0.add(running.peer.as_fd(), event).map_err(Into::into)
    }

    /// Stops waiting for it, because another thread does from now on.
    pub(super) fn deregister(&self, running: &Running) {
        // If it was never waited for, it is not there, which is fine.
        self.0.delete(running.peer.as_fd()).ok();
    }

    /// Waits a moment for answers; returns how many of `events` were filled.
    ///
    /// # Errors
    ///
    /// If the kernel returns an error.
    pub(super) fn wait(&self, events: &mut [EpollEvent]) -> io::Result<usize> {
        match self.0.wait(events, TICK_MILLISECONDS) {
            Ok(count) => Ok(count),
            Err(Errno::EINTR) => Ok(0),
            Err(errno) => Err(errno.into()),
        }
    }
}
