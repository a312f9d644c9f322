//! Answers (RFC 9915, sections 18.3.9 to 18.3.11 and 19.3).

use super::{
    CLIENT_PORT, SERVER_PORT, boot,
    ia::{Ia, Status, refused},
    request::Request,
};
use crate::boot_kind::BootKind;
use jiff::SignedDuration;
use metal_wire::v6::{MessageType, Options, Packet, Relay, code};
use std::net::{Ipv6Addr, SocketAddrV6};

/// How many identity associations for prefixes are answered.
const MOST_PREFIXES: usize = 16;
/// Sub-option of NTP: the address of a server (RFC 5908, section 4.1).
const NTP_ADDRESS: [u8; 4] = [0, 1, 0, 16];

/// When a client asks for information again that is not told (RFC 9915, section 21.23: `IRT_DEFAULT`).
const UNTOLD_REFRESH: SignedDuration = SignedDuration::from_hours(24);
/// A client does not ask again sooner (`IRT_MINIMUM`).
const SHORTEST_REFRESH: SignedDuration = SignedDuration::from_mins(10);

/// An answer and its destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// `Advertise` or `Reply`.
    pub kind: MessageType,
    /// The packet, with the relays that it goes back through.
    pub packet: Packet,
    /// The receiver.
    pub to: SocketAddrV6,
}

/// An answer with identity associations: the one that was decided about, and the others with the
/// status `rest`.
pub(super) fn associations(
    request: &Request<'_>,
    kind: MessageType,
    first: Option<(&Ia, &[u8])>,
    rest: Status,
) -> Reply {
    let mut options = head(request);
    for ia in request.ias() {
        let decided = first.filter(|(decided, _)| decided.id == ia.id);
        let value = decided.map_or_else(|| refused(ia.id, rest), |(_, value)| value.to_vec());
        options.push(code::IA_NA, value);
    }
    let prefixes = match rest {
        Status::NoBinding => Status::NoBinding,
        Status::Success | Status::NoAddrsAvail | Status::NotOnLink | Status::NoPrefixAvail => {
            Status::NoPrefixAvail
        }
    };
    refuse_prefixes(request, prefixes, &mut options);
    add_information(request, &mut options);
    finish(request, kind, options)
}

/// An answer with a status.
pub(super) fn status(request: &Request<'_>, status: Status) -> Reply {
    let mut options = head(request);
    status.add_to(&mut options);
    finish(request, MessageType::Reply, options)
}

/// An answer to a client that gives addresses back. `unbound` are associations without a binding,
/// such as all those for prefixes, which are not delegated here.
pub(super) fn given_back(request: &Request<'_>, unbound: &[[u8; 4]]) -> Reply {
    let mut reply = status(request, Status::Success);
    let options = &mut reply.packet.options;
    for id in unbound {
        options.push(code::IA_NA, refused(*id, Status::NoBinding));
    }
    refuse_prefixes(request, Status::NoBinding, options);
    reply
}

/// Refuses every association for prefixes, which are not delegated here.
fn refuse_prefixes(request: &Request<'_>, status: Status, options: &mut Options) {
    for value in request.packet.options.all(code::IA_PD).take(MOST_PREFIXES) {
        if let Some(id) = value.first_chunk() {
            options.push(code::IA_PD, refused(*id, status));
        }
    }
}

/// An answer without identity associations.
pub(super) fn information(request: &Request<'_>) -> Reply {
    let mut options = head(request);
    add_information(request, &mut options);
    if request.wants(code::REFRESH_TIME) {
        let seconds = u32::try_from(refresh_time(request).as_secs()).unwrap_or(u32::MAX);
        options.push(code::REFRESH_TIME, seconds.to_be_bytes());
    }
    finish(request, MessageType::Reply, options)
}

/// When a client asks for information again: like one with a lease, which renews it after half of its time.
pub(super) fn refresh_time(request: &Request<'_>) -> SignedDuration {
    if request.wants(code::REFRESH_TIME) {
        (request.subnet.lease_time / 2).max(SHORTEST_REFRESH)
    } else {
        UNTOLD_REFRESH
    }
}

fn head(request: &Request<'_>) -> Options {
    let mut options = Options::default();
    if let Some(id) = request.packet.options.get(code::CLIENT_ID) {
        options.push(code::CLIENT_ID, id);
    }
    options.push(code::SERVER_ID, request.server_id());
    options
}

/// Adds the options that the subnet has and the client asks for; all of them if it sends no list.
fn add_information(request: &Request<'_>, options: &mut Options) {
    let subnet = request.subnet;
    let mut offer = |code: u16, value: Vec<u8>| {
        if !value.is_empty() && request.wants(code) {
            options.push(code, value);
        }
    };
    offer(code::DNS, subnet.dns.iter().flat_map(Ipv6Addr::octets).collect());
    offer(code::SEARCH, subnet.search.iter().flat_map(|domain| labels(domain)).collect());
    let ntp = subnet.ntp.iter().flat_map(|server| NTP_ADDRESS.into_iter().chain(server.octets()));
    offer(code::NTP, ntp.collect());
    if let Some(url) = request.ztp().filter(|_| request.booting() == BootKind::No) {
        offer(code::BOOT_FILE, url.into());
        offer(code::ZTP, url.into());
    }
    boot::add(request, options);
}

/// A domain in DNS wire format, without compression (RFC 9915, section 10).
fn labels(domain: &str) -> Vec<u8> {
    let label = |label: &str| {
        let len = u8::try_from(label.len()).unwrap_or_default();
        std::iter::once(len).chain(label.bytes()).collect::<Vec<u8>>()
    };
    domain.split('.').flat_map(label).chain([0]).collect()
}

/// The options of a relay that are echoed to it: those that it always needs, and those that it asks
/// for (RFC 4994).
fn echoed(relay: &Relay) -> Vec<u16> {
    let mut codes = vec![code::INTERFACE_ID, code::REMOTE_ID, code::RELAY_PORT];
    let named = relay.options.get(code::ECHO_REQUEST).unwrap_or_default().as_chunks::<2>().0;
    for named in named.iter().map(|code| u16::from_be_bytes(*code)) {
        if !codes.contains(&named) && relay.options.get(named).is_some() {
            codes.push(named);
        }
    }
    codes
}

/// Wraps the answer for the relays that the request came through.
fn finish(request: &Request<'_>, kind: MessageType, options: Options) -> Reply {
    let received = request.packet;
    let relays = received.relays.iter().map(|relay| {
        let mut options = Options::default();
        for code in echoed(relay) {
            relay.options.all(code).for_each(|value| options.push(code, value));
        }
        Relay { is_reply: true, options, ..relay.clone() }
    });
    let packet = Packet { relays: relays.collect(), kind: kind as u8, xid: received.xid, options };
    let mut to = request.from();
    match received.relays.first() {
        None => to.set_port(CLIENT_PORT),
        Some(relay) if relay.options.get(code::RELAY_PORT).is_some() => {}
        Some(_) => to.set_port(SERVER_PORT),
    }
    Reply { kind, packet, to }
}
