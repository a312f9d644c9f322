//! The decision about one packet (RFC 2131, section 4.3).

mod answer;
mod claim;
mod proxy;

use super::{
    BOOT_SERVER_PORT,
    reply::Reply,
    request::{Arrival, DropReason, Request, Server},
};
use crate::{config::Mode, lease::Lease};
use ipnet::Ipv4Net;
use jiff::Timestamp;
use metal_core::endpoint::Sighting;
use metal_wire::v4::{MessageType, Packet};
use std::net::Ipv4Addr;

/// What to do about a packet: apply and record the changes first, then answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Leases to record.
    pub changes: Vec<Lease>,
    /// The answer, or why there is none.
    pub answer: Result<Box<Reply>, DropReason>,
    /// A BMC that has an address now.
    pub bmc: Option<Sighting<Ipv4Addr>>,
    /// An address that is new to this client. It should be probed for other users before the answer
    /// is sent.
    pub probe: Option<Ipv4Addr>,
    /// An address that its client seems to have declined, by way of a relay that is not believed; for
    /// [`Leases::doubt`](crate::lease::Leases::doubt).
    pub doubted: Option<Ipv4Addr>,
    /// The subnet of the client, if no address is left in it.
    pub exhausted: Option<Ipv4Net>,
}

impl Default for Decision {
    fn default() -> Self {
        Self::dropped(DropReason::NotRequest)
    }
}

impl Decision {
    fn dropped(reason: DropReason) -> Self {
        let (bmc, probe, doubted, exhausted) = (None, None, None, None);
        Self { changes: Vec::new(), answer: Err(reason), bmc, probe, doubted, exhausted }
    }
}

/// Decides about a packet. Pure: the same arguments give the same decision.
pub fn decide(
    server: Server<'_>,
    packet: &Packet,
    arrival: Arrival<'_>,
    now: Timestamp,
) -> Decision {
    let request = match Request::new(server, packet, arrival, now) {
        Ok(request) => request,
        Err(reason) => return Decision::dropped(reason),
    };
    match request.subnet.mode {
        Mode::Proxy => return request.proxy(),
        Mode::Leases if arrival.port == BOOT_SERVER_PORT => {
            return Decision::dropped(DropReason::WrongPort);
        }
        Mode::Leases => {}
    }
    match MessageType::of(packet) {
        Some(MessageType::Discover) => request.discover(),
        Some(MessageType::Request) => request.request(),
        Some(MessageType::Decline) => request.decline(),
        Some(MessageType::Release) => request.release(),
        Some(MessageType::Inform) => request.inform(),
        Some(MessageType::Offer | MessageType::Ack | MessageType::Nak) | None => {
            Decision::dropped(DropReason::NotRequest)
        }
    }
}
