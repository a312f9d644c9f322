//! The packets that have arrived together, and their answers.

use crate::recorder::Sightings;
use metal_core::endpoint::Sighting;
use metal_dhcp::v4::{MessageType, Packet, Reply};
use metal_serve::dhcp::{Metrics, link::v4::Link};
use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddrV4},
};

/// How many packets of one socket are taken from the kernel in one go: more than it keeps, so that
/// it is we who choose what is too much.
const MOST: usize = 1024;
/// Longest packet; longer ones are cut, and most likely malformed then.
const LARGEST: usize = 4096;

/// A batch.
#[derive(Debug)]
pub(super) struct Batch {
    buffer: Box<[u8; LARGEST]>,
    requests: Vec<Asked>,
    answers: Vec<Answer>,
}

/// A packet that has arrived.
#[derive(Debug)]
pub(super) struct Asked {
    /// The place of the link among all.
    pub(super) link: usize,
    pub(super) from: SocketAddrV4,
    /// Our address that it was sent to, if it was sent to us alone.
    pub(super) to: Option<Ipv4Addr>,
    pub(super) packet: Packet,
}

#[derive(Debug)]
struct Answer {
    link: usize,
    from: SocketAddrV4,
    reply: Reply,
    /// It is true only if it was written down.
    is_durable: bool,
    bmc: Option<Sighting<Ipv4Addr>>,
}

impl Default for Batch {
    fn default() -> Self {
        Self { buffer: Box::new([0; LARGEST]), requests: Vec::new(), answers: Vec::new() }
    }
}

impl Batch {
    /// Takes the packets that have arrived at a link.
    pub(super) fn receive(&mut self, index: usize, link: &Link, metrics: &Metrics) {
        for _ in 0..MOST {
            let (len, from, to) = match link.receive(self.buffer.as_mut_slice()) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => {
                    // Of an earlier answer, or of an interface that went down.
                    tracing::debug!(%error, place = %link.place, "socket reports an error");
                    return;
                }
            };
            match Packet::parse(&self.buffer[..len]) {
                Ok(packet) => {
                    metrics.requested(MessageType::of(&packet));
                    self.requests.push(Asked { link: index, from, to, packet });
                }
                Err(reason) => {
                    tracing::debug!(%from, %reason, "malformed packet");
                    metrics.silent(reason);
                }
            }
        }
    }

    /// The packets, which are gone from the batch then.
    pub(super) fn requests(&mut self) -> Vec<Asked> {
        std::mem::take(&mut self.requests)
    }

    pub(super) fn reply(
        &mut self,
        link: usize,
        from: SocketAddrV4,
        reply: Reply,
        is_durable: bool,
        bmc: Option<Sighting<Ipv4Addr>>,
    ) {
        self.answers.push(Answer { link, from, reply, is_durable, bmc });
    }

    /// Sends the answers; without those that depend on what was not written down.
    pub(super) fn answer(
        &mut self,
        links: &[Link],
        is_kept: bool,
        sightings: Option<&Sightings>,
        metrics: &Metrics,
    ) {
        for Answer { link, from, reply, is_durable, bmc } in self.answers.drain(..) {
            if is_durable && !is_kept {
                continue;
            }
            if let (Some(seen), Some(sightings)) = (bmc, sightings) {
                sightings.saw(seen);
            }
            let link = &links[link];
            let (to, sent) = link.answer(&reply, from);
            if let Err(error) = sent {
                // The client asks again.
                tracing::debug!(%error, %to, "answer not sent");
                metrics.not_sent();
            }
            tracing::debug!(kind = ?reply.kind, address = %reply.packet.yiaddr, %to, "answered");
            metrics.answered(reply.kind);
        }
    }
}
