//! The decision about one packet (RFC 9915, sections 16 and 18.3).

mod answer;
mod claim;

use super::{
    reply::Reply,
    request::{Arrival, DropReason, Request, Server},
};
use crate::lease::Lease;
use ipnet::Ipv6Net;
use jiff::Timestamp;
use metal_core::endpoint::Sighting;
use metal_wire::v6::{MessageType, Packet, code};
use std::net::Ipv6Addr;

/// What to do about a packet: apply and record the changes first, then answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Leases to record.
    pub changes: Vec<Lease<Ipv6Addr>>,
    /// The answer, or why there is none.
    pub answer: Result<Box<Reply>, DropReason>,
    /// A BMC that has an address now.
    pub bmc: Option<Sighting<Ipv6Addr>>,
    /// Addresses that their clients seem to have declined, by way of a relay that is not believed; for
    /// [`Leases::doubt`](crate::lease::Leases::doubt).
    pub doubted: Vec<Ipv6Addr>,
    /// The subnet of the client, if no address is left in it, which the answer says.
    pub exhausted: Option<Ipv6Net>,
}

impl Decision {
    fn dropped(reason: DropReason) -> Self {
        let (bmc, exhausted) = (None, None);
        Self { changes: Vec::new(), answer: Err(reason), bmc, doubted: Vec::new(), exhausted }
    }

    fn answer(reply: Reply) -> Self {
        let (answer, bmc, exhausted) = (Ok(Box::new(reply)), None, None);
        Self { changes: Vec::new(), answer, bmc, doubted: Vec::new(), exhausted }
    }
}

/// Decides about a packet. Pure: the same arguments give the same decision.
pub fn decide(
    server: Server<'_>,
    packet: &Packet,
    arrival: Arrival<'_>,
    now: Timestamp,
) -> Decision {
    let kind = match kind_of(server.id, packet) {
        Ok(kind) => kind,
        Err(reason) => return Decision::dropped(reason),
    };
    let request = match Request::new(server, packet, arrival, now) {
        Ok(request) => request,
        Err(reason) => return Decision::dropped(reason),
    };
    match kind {
        ClientMessage::Solicit => request.solicit(),
        ClientMessage::Request => request.request(),
        ClientMessage::Confirm => request.confirm(),
        ClientMessage::Renew => request.extend(true),
        ClientMessage::Rebind => request.extend(false),
        ClientMessage::Release => request.release(),
        ClientMessage::Decline => request.decline(),
        ClientMessage::Information => request.information(),
    }
}

/// Messages of clients to servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientMessage {
    Solicit,
    Request,
    Confirm,
    Renew,
    Rebind,
    Release,
    Decline,
    Information,
}

/// The type of a message that we may answer (RFC 9915, section 16).
fn kind_of(id: &[u8], packet: &Packet) -> Result<ClientMessage, DropReason> {
    if packet.relays.iter().any(|relay| relay.is_reply) {
        return Err(DropReason::NotRequest);
    }
    let (message, is_addressed) = match packet.kind() {
        Some(MessageType::Solicit) => (ClientMessage::Solicit, false),
        Some(MessageType::Request) => (ClientMessage::Request, true),
        Some(MessageType::Confirm) => (ClientMessage::Confirm, false),
        Some(MessageType::Renew) => (ClientMessage::Renew, true),
        Some(MessageType::Rebind) => (ClientMessage::Rebind, false),
        Some(MessageType::Release) => (ClientMessage::Release, true),
        Some(MessageType::Decline) => (ClientMessage::Decline, true),
        Some(MessageType::InformationRequest) => (ClientMessage::Information, false),
        Some(MessageType::Advertise | MessageType::Reply | MessageType::Reconfigure) | None => {
            return Err(DropReason::NotRequest);
        }
    };
    let server = packet.options.get(code::SERVER_ID);
    let is_information = message == ClientMessage::Information;
    match server {
        Some(server) if server == id && (is_addressed || is_information) => {}
        Some(_) if is_addressed || is_information => return Err(DropReason::OtherServer),
        None if !is_addressed => {}
        Some(_) | None => return Err(DropReason::Invalid),
    }
    let has_ia = [code::IA_NA, code::IA_PD].iter().any(|ia| packet.options.get(*ia).is_some());
    if is_information && has_ia { Err(DropReason::Invalid) } else { Ok(message) }
}
