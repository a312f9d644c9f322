//! The packets that have arrived together, and their answers.

use crate::{link::Link, metrics::Metrics, recorder::Sightings};
use metal_api::MacAddr;
use metal_core::dhcp::{MessageType, Packet, Reply};
use std::{
    io::ErrorKind,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
};

/// How many packets of one socket a batch takes at most: enough to share a write, and few enough
/// that the first one does not wait for long.
const MOST: usize = 128;
/// Longest packet; longer ones are cut, and most likely malformed then.
const LARGEST: usize = 4096;

/// A batch.
#[derive(Debug)]
pub(super) struct Batch {
    buffer: Box<[u8; LARGEST]>,
    requests: Vec<(usize, SocketAddrV4, Packet)>,
    answers: Vec<Answer>,
}

#[derive(Debug)]
struct Answer {
    link: usize,
    from: SocketAddrV4,
    reply: Reply,
    /// It is true only if it was written down.
    is_durable: bool,
    bmc: Option<(MacAddr, Ipv4Addr)>,
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
            let (len, from) = match link.socket.try_recv_from(self.buffer.as_mut_slice()) {
                Ok((len, SocketAddr::V4(from))) => (len, from),
                Ok((_, SocketAddr::V6(_))) => continue,
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
                    self.requests.push((index, from, packet));
                }
                Err(reason) => {
                    tracing::debug!(%from, %reason, "malformed packet");
                    metrics.malformed(reason);
                }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// The packets, which are gone from the batch then.
    pub(super) fn requests(&mut self) -> Vec<(usize, SocketAddrV4, Packet)> {
        std::mem::take(&mut self.requests)
    }

    pub(super) fn reply(
        &mut self,
        link: usize,
        from: SocketAddrV4,
        reply: Reply,
        is_durable: bool,
        bmc: Option<(MacAddr, Ipv4Addr)>,
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
            if let (Some((mac, ip)), Some(sightings)) = (bmc, sightings) {
                sightings.saw(mac, ip);
            }
            let link = &links[link];
            let to = link.destination(reply.to, from);
            if let Err(error) = link.socket.try_send_to(&reply.packet.encode(), to.into()) {
                // The client asks again.
                tracing::debug!(%error, %to, "answer not sent");
                metrics.not_sent();
            }
            tracing::debug!(kind = ?reply.kind, address = %reply.packet.yiaddr, %to, "answered");
            metrics.answered(reply.kind);
        }
    }
}
