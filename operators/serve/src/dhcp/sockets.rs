//! The sockets of a server: what they receive, and how they change.

use super::{
    Metrics,
    link::{Error, Link, readable},
};
use std::{io::ErrorKind, net::SocketAddr};

/// How many packets of one socket are taken from the kernel at once: more than it buffers, so that
/// it is we who choose what to drop.
const MOST: usize = 1024;
/// Longest packet; longer ones are cut, and then most likely malformed.
const LARGEST: usize = 4096;

/// The sockets.
#[derive(Debug)]
pub struct Sockets<L> {
    links: Vec<L>,
    buffer: Box<[u8; LARGEST]>,
    /// Whether the indices of links have changed.
    is_renumbered: bool,
}

/// A received packet.
#[derive(Debug)]
pub struct Request<L: Link> {
    /// The index of its link.
    pub link: usize,
    /// Who sent it.
    pub from: L::Peer,
    /// Our address that it was sent to; `None` for a broadcast or multicast packet.
    pub to: Option<L::Address>,
    /// Its content.
    pub packet: L::Packet,
}

impl<L> Default for Sockets<L> {
    fn default() -> Self {
        Self { links: Vec::new(), buffer: Box::new([0; LARGEST]), is_renumbered: false }
    }
}

impl<L: Link> Sockets<L> {
    /// Serves these bind targets from now on. If one cannot be served, nothing changes.
    ///
    /// # Errors
    ///
    /// If a bind target does not exist or is in use.
    pub fn serve(&mut self, targets: &[L::BindTarget]) -> Result<(), Error> {
        let is_open =
            |target: &L::BindTarget| self.links.iter().any(|link| link.bind_target() == target);
        let missing = targets.iter().filter(|target| !is_open(target)).cloned().map(L::open);
        let missing = missing.collect::<Result<Vec<_>, _>>()?;
        self.links.retain(|link| targets.contains(link.bind_target()));
        self.links.extend(missing);
        self.is_renumbered = true;
        Ok(())
    }

    /// Reopens sockets on interfaces that were replaced by others of the same name.
    pub fn follow_interfaces(&mut self) {
        for link in self.links.iter_mut().filter(|link| link.is_stale()) {
            if let Ok(fresh) = L::open(link.bind_target().clone()) {
                tracing::info!(place = %fresh.bind_target(), "serving the interface again");
                *link = fresh;
            }
        }
    }

    /// All links, by index.
    pub fn links(&self) -> &[L] {
        &self.links
    }

    /// The same, mutable.
    pub fn links_mut(&mut self) -> &mut [L] {
        &mut self.links
    }

    /// The addresses that they are bound to.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.links.iter().filter_map(|link| link.socket().local_addr().ok()).collect()
    }

    /// Waits until there is something to receive.
    pub async fn readable(&self) {
        readable(self.links.iter().map(Link::socket)).await;
    }

    /// Whether indices of links from before are no longer valid.
    pub(super) fn take_renumbered(&mut self) -> bool {
        std::mem::take(&mut self.is_renumbered)
    }

    /// Receives the packets that have arrived; malformed ones are only counted.
    pub(super) fn receive(&mut self, metrics: &Metrics) -> Vec<Request<L>> {
        let mut requests = Vec::new();
        for (number, link) in self.links.iter().enumerate() {
            for _ in 0..MOST {
                let (len, from, to) = match link.receive(self.buffer.as_mut_slice()) {
                    Ok(received) => received,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => {
                        // Caused by an earlier answer, or by an interface that went down.
                        let place = link.bind_target();
                        tracing::debug!(%error, %place, "socket reports an error");
                        break;
                    }
                };
                match L::parse(&self.buffer[..len]) {
                    Ok((packet, kind)) => {
                        metrics.requested(kind);
                        requests.push(Request { link: number, from, to, packet });
                    }
                    Err(reason) => {
                        tracing::debug!(%from, reason, "malformed packet");
                        metrics.unanswered(reason);
                    }
                }
            }
        }
        requests
    }
}
