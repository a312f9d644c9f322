//! Answers (RFC 2131, section 4.3.1, table 3).

use super::{boot, request::Request};
use crate::{boot_kind::BootKind, config::Route};
use ipnet::Ipv4Net;
use jiff::SignedDuration;
use metal_api::MacAddr;
use metal_wire::v4::{BOOT_REPLY, HEADER_LEN, MessageType, Options, Packet, code, encoded_len};
use std::net::{Ipv4Addr, SocketAddrV4};

/// Size of the IP and UDP headers, which option 57 includes.
const IP_AND_UDP: u16 = 28;
/// Size that every client accepts.
const MIN_MAX_SIZE: u16 = 576;
/// Larger packets would be fragmented, and firmware does not reassemble fragments.
const MAX_MAX_SIZE: u16 = 1500;

/// An answer and its destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// `DHCPOFFER`, `DHCPACK` or `DHCPNAK`.
    pub kind: MessageType,
    /// The packet.
    pub packet: Packet,
    /// Our address to send from: the one that was asked.
    pub from: Ipv4Addr,
    /// The destination: the relay, the address that the client has, or broadcast.
    pub to: SocketAddrV4,
    /// The client's hardware address, if the answer can be sent to it alone instead of being
    /// broadcast: to `yiaddr`, for which the client does not answer ARP requests yet.
    pub direct: Option<MacAddr>,
}

/// `DHCPOFFER` or `DHCPACK` of an address.
pub(super) fn grant(
    request: &Request<'_>,
    kind: MessageType,
    address: Ipv4Addr,
    time: SignedDuration,
) -> Reply {
    let mut packet = head(request, kind);
    packet.yiaddr = address;
    let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    packet.options.set(code::LEASE_TIME, seconds.to_be_bytes());
    packet.options.set(code::RENEWAL, (seconds / 2).to_be_bytes());
    packet.options.set(code::REBINDING, (seconds - seconds / 8).to_be_bytes());
    finish(request, kind, packet)
}

/// `DHCPACK` without an address.
pub(super) fn inform(request: &Request<'_>) -> Reply {
    finish(request, MessageType::Ack, head(request, MessageType::Ack))
}

/// `DHCPOFFER` or `DHCPACK` with only a boot file, if there is one.
pub(super) fn boot_only(request: &Request<'_>, kind: MessageType) -> Option<Reply> {
    let mut packet = head(request, kind);
    if !boot::add(request, &mut packet) {
        return None;
    }
    // PXE firmware and iPXE accept an answer without an address only if it has a class; iPXE also
    // ignores the file name unless there is a server.
    if request.booting() == BootKind::Ipxe {
        packet.options.set(code::VENDOR_CLASS, b"PXEClient");
        packet.siaddr = request.own_address();
    }
    echo(request, &mut packet);
    Some(address(request, kind, packet))
}

/// `DHCPNAK`.
pub(super) fn refuse(request: &Request<'_>) -> Reply {
    let kind = MessageType::Nak;
    let mut packet = head(request, kind);
    packet.ciaddr = Ipv4Addr::UNSPECIFIED;
    // The client may have a wrong address, at which the relay could not reach it.
    packet.broadcast |= !packet.giaddr.is_unspecified();
    packet.options.set(code::MESSAGE, b"address not available");
    echo(request, &mut packet);
    address(request, kind, packet)
}

fn address(request: &Request<'_>, kind: MessageType, packet: Packet) -> Reply {
    let (to, direct) = (request.destination(kind), request.direct(kind, packet.yiaddr));
    Reply { kind, packet, from: request.own_address(), to, direct }
}

fn head(request: &Request<'_>, kind: MessageType) -> Packet {
    let received = request.packet;
    let mut packet = Packet {
        op: BOOT_REPLY,
        htype: received.htype,
        hlen: received.hlen,
        xid: received.xid,
        broadcast: received.broadcast,
        ciaddr: received.ciaddr,
        giaddr: received.giaddr,
        chaddr: received.chaddr,
        ..Packet::default()
    };
    packet.options.set(code::MESSAGE_TYPE, [kind as u8]);
    packet.options.set(code::SERVER_ID, request.server_id.octets());
    packet
}

/// Adds all other options, as far as there is room.
fn finish(request: &Request<'_>, kind: MessageType, mut packet: Packet) -> Reply {
    let subnet = request.subnet;
    packet.options.set(code::SUBNET_MASK, subnet.net.netmask().octets());
    if let Some(router) = subnet.router {
        packet.options.set(code::ROUTER, router.octets());
    }
    if boot::add(request, &mut packet) && request.booting() == BootKind::Ipxe {
        packet.options.set(code::IPXE, boot::NO_PROXY_DHCP);
    }
    let echoed: usize = [code::CLIENT_ID, code::RELAY]
        .into_iter()
        .filter_map(|code| request.packet.options.get(code))
        .map(encoded_len)
        .sum();
    let size = request.packet.options.u16(code::MAX_SIZE).unwrap_or(MIN_MAX_SIZE);
    let limit = usize::from(size.clamp(MIN_MAX_SIZE, MAX_MAX_SIZE) - IP_AND_UDP);
    let used: usize = packet.options.iter().map(|(_, value)| encoded_len(value)).sum();
    // One byte for the end mark.
    let mut room = limit.saturating_sub(HEADER_LEN + used + echoed + 1);
    for (code, value) in requested_options(request).iter() {
        if let Some(rest) = room.checked_sub(encoded_len(value)) {
            room = rest;
            packet.options.set(code, value);
        }
    }
    echo(request, &mut packet);
    address(request, kind, packet)
}

/// The options that the subnet has and the client asks for; all of them if it sends no list.
fn requested_options(request: &Request<'_>) -> Options {
    let subnet = request.subnet;
    let asked = request.packet.options.parameters();
    let mut offered = Options::default();
    let mut offer = |code: u8, value: Option<Vec<u8>>| {
        if let Some(value) = value.filter(|value| !value.is_empty())
            && asked.is_none_or(|list| list.contains(&code))
        {
            offered.set(code, value);
        }
    };
    let reservation = subnet.reservation(&request.client);
    let hostname = reservation.and_then(|reservation| reservation.hostname.clone());
    offer(code::DNS, Some(addresses(&subnet.dns)));
    offer(code::DOMAIN_NAME, subnet.domain.clone().map(String::into_bytes));
    offer(code::HOST_NAME, hostname.map(String::into_bytes));
    offer(code::MTU, subnet.mtu.map(|mtu| mtu.to_be_bytes().to_vec()));
    offer(code::BROADCAST, Some(addresses(&[subnet.net.broadcast()])));
    offer(code::NTP, Some(addresses(&subnet.ntp)));
    offer(code::ROUTES, Some(classless(subnet.router, &subnet.routes)));
    let url = request.client.mac().and_then(|mac| request.config().ztp_of(mac));
    if let Some(url) = url.filter(|_| request.booting() == BootKind::No) {
        offer(code::BOOT_FILE, Some(boot::text(url)));
        offer(code::ZTP, Some(boot::text(url)));
    }
    offered
}

/// Option 121 (RFC 3442). Clients that use it ignore the router option, so it has the default
/// route, too.
fn classless(gateway: Option<Ipv4Addr>, others: &[Route]) -> Vec<u8> {
    let mut value = Vec::new();
    if others.is_empty() {
        return value;
    }
    let default = gateway.map(|via| Route { to: Ipv4Net::default(), via });
    for Route { to, via } in others.iter().copied().chain(default) {
        value.push(to.prefix_len());
        let significant = usize::from(to.prefix_len().div_ceil(8));
        value.extend(&to.network().octets()[..significant]);
        value.extend(via.octets());
    }
    value
}

fn addresses(list: &[Ipv4Addr]) -> Vec<u8> {
    list.iter().flat_map(Ipv4Addr::octets).collect()
}

/// Echoes the client identifier, by which the client finds its answer (RFC 6842), and the relay's
/// option, unchanged and after all others (RFC 3046).
fn echo(request: &Request<'_>, packet: &mut Packet) {
    for code in [code::CLIENT_ID, code::RELAY] {
        if let Some(value) = request.packet.options.get(code) {
            packet.options.set(code, value);
        }
    }
}
