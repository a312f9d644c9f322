//! Identifies the sender of a packet.

use crate::client::{Client, usable};
use metal_api::{MacAddr, SystemUuid};
use metal_wire::v6::{Packet, code};
use std::net::Ipv6Addr;

/// Hardware type of Ethernet.
const ETHERNET: u16 = 1;
/// RFC 9915, section 11.1: a type of two octets, and 1 to 128 more.
const DUID_LEN: std::ops::RangeInclusive<usize> = 3..=130;

/// The sender of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sender {
    duid: Box<[u8]>,
    /// The MAC address of the machine, used for lists and BMCs, and for reservations if its interface has none.
    pub(super) mac: Option<MacAddr>,
    /// The MAC address of the interface that it sends from.
    pub(super) interface: Option<MacAddr>,
}

impl Sender {
    /// `None` if its identifier is missing or invalid.
    pub(super) fn of(packet: &Packet, from: Ipv6Addr) -> Option<Self> {
        let duid =
            packet.options.get(code::CLIENT_ID).filter(|duid| DUID_LEN.contains(&duid.len()))?;
        let interface = told_by_relay(packet).or_else(|| in_address(peer(packet, from)));
        Some(Self { duid: duid.into(), mac: mac(packet, from), interface })
    }

    /// The owner of the lease for an association.
    ///
    /// Firmware, boot loader and operating system of one machine send different identifiers and
    /// IAIDs (EDK2 has a different one in each phase), but use one interface, and the machine
    /// should keep its address. If the interface is not known, identifier and IAID count, because
    /// all interfaces of a host send the identifier that was made from one of them.
    pub(super) fn client(&self, iaid: [u8; 4]) -> Client {
        match self.interface {
            Some(mac) => Client::Mac(mac),
            None => Client::Id([&self.duid, &iaid[..]].concat().into()),
        }
    }
}

impl Sender {
    /// Distinguishes its associations, each of which is an identifier and an IAID (RFC 9915,
    /// section 4.2). A collision of the 64-bit FNV-1a hash would do no harm.
    pub(super) fn binding(&self, iaid: [u8; 4]) -> u64 {
        self.duid.iter().chain(&iaid).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

/// The owners of the leases that a packet sent from `from` is about.
pub fn clients(packet: &Packet, from: Ipv6Addr) -> Vec<Client> {
    /// More associations than any machine has.
    const MOST: usize = 8;
    let Some(sender) = Sender::of(packet, from) else { return Vec::new() };
    let ids = packet.options.all(code::IA_NA).take(MOST);
    ids.filter_map(|value| Some(sender.client(*value.first_chunk()?))).collect()
}

/// The MAC address of the sender of a packet sent from `from`: given by the nearest relay, else
/// contained in its identifier, else in its link-local address.
pub fn mac(packet: &Packet, from: Ipv6Addr) -> Option<MacAddr> {
    let duid = || in_duid(packet.options.get(code::CLIENT_ID)?);
    told_by_relay(packet).or_else(duid).or_else(|| in_address(peer(packet, from)))
}

/// The interface identifier of addresses that the sender makes from its MAC address; `None` if it
/// uses another one (RFC 4862, section 5.5.3).
pub(super) fn interface_id(packet: &Packet, from: Ipv6Addr) -> Option<u64> {
    let peer = peer(packet, from);
    in_address(peer).and(peer.octets().last_chunk().map(|id| u64::from_be_bytes(*id)))
}

/// The system UUID in an identifier (RFC 6355), unless many machines share it.
///
/// EDK2 copies it from SMBIOS unchanged, iPXE converts it to network byte order; lookups try both.
pub(super) fn uuid(packet: &Packet) -> Option<SystemUuid> {
    let [0, 4, bytes @ ..] = packet.options.get(code::CLIENT_ID)? else { return None };
    SystemUuid::from_bytes(bytes.try_into().ok()?)
}

/// The client's address, as seen by the nearest relay or by us.
fn peer(packet: &Packet, from: Ipv6Addr) -> Ipv6Addr {
    packet.relays.last().map_or(from, |relay| relay.peer)
}

/// The MAC address given by the nearest relay. What a relay further away gives is that of another
/// relay.
fn told_by_relay(packet: &Packet) -> Option<MacAddr> {
    let (hardware, mac) =
        packet.relays.last()?.options.get(code::LINK_LAYER)?.split_first_chunk()?;
    let is_ethernet = u16::from_be_bytes(*hardware) == ETHERNET;
    of_one(mac.try_into().ok().filter(|_| is_ethernet)?)
}

/// DUID-LLT and DUID-LL.
fn in_duid(duid: &[u8]) -> Option<MacAddr> {
    let (hardware, mac) = match duid {
        [0, 1, h, w, _, _, _, _, mac @ ..] | [0, 3, h, w, mac @ ..] => ([*h, *w], mac),
        _ => return None,
    };
    let is_ethernet = u16::from_be_bytes(hardware) == ETHERNET;
    of_one(mac.try_into().ok().filter(|_| is_ethernet)?)
}

/// The MAC address that a modified EUI-64 was made from (RFC 4291, appendix A). Other interface
/// identifiers say nothing.
fn in_address(address: Ipv6Addr) -> Option<MacAddr> {
    let [.., first, second, third, 0xff, 0xfe, fourth, fifth, sixth] = address.octets() else {
        return None;
    };
    let mac = of_one([first ^ 2, second, third, fourth, fifth, sixth]);
    mac.filter(|_| address.is_unicast_link_local())
}

/// Like [`usable`], but excluding group addresses.
fn of_one(mac: [u8; 6]) -> Option<MacAddr> {
    usable(mac).filter(|mac| mac.0[0] & 1 == 0)
}
