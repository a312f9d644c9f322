//! Who a packet is from.

use crate::client::{Client, usable};
use metal_api::MacAddr;
use metal_core::system_uuid::identifying;
use metal_wire::v6::{Packet, code};
use std::net::Ipv6Addr;
use uuid::Uuid;

/// Hardware type of Ethernet.
const ETHERNET: u16 = 1;
/// RFC 9915, section 11.1: two octets of type, and 1 to 128 more.
const DUID_LEN: std::ops::RangeInclusive<usize> = 3..=130;

/// The sender of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sender {
    duid: Box<[u8]>,
    /// The address of the machine: what reservations, lists and BMCs are known by.
    pub(super) mac: Option<MacAddr>,
    /// The address of the interface that it speaks from.
    interface: Option<MacAddr>,
}

impl Sender {
    /// `None` if its identifier is missing or none.
    pub(super) fn of(packet: &Packet, from: Ipv6Addr) -> Option<Self> {
        let duid =
            packet.options.get(code::CLIENT_ID).filter(|duid| DUID_LEN.contains(&duid.len()))?;
        let interface = told_by_relay(packet).or_else(|| in_address(peer(packet, from)));
        Some(Self { duid: duid.into(), mac: mac(packet, from), interface })
    }

    /// Whose lease it is.
    ///
    /// Firmware, boot loader and operating system of one machine send different identifiers and
    /// IAIDs (EDK2 has another one in each phase), but have one interface, and the machine is to
    /// keep its address. Where the interface does not show, identifier and IAID count: all
    /// interfaces of a host send the identifier that was made from one of them.
    pub(super) fn client(&self, iaid: [u8; 4]) -> Client {
        match self.interface {
            Some(mac) => Client::Mac(mac),
            None => Client::Id([&self.duid, &iaid[..]].concat().into()),
        }
    }
}

impl Sender {
    /// What tells its associations apart: an association is an identifier and an IAID (RFC 9915,
    /// section 4.2). Sixty-four bits, FNV-1a: nobody is harmed by two that are the same.
    pub(super) fn binding(&self, iaid: [u8; 4]) -> u64 {
        self.duid.iter().chain(&iaid).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

/// Whose leases a packet is about that came `from`.
pub fn clients(packet: &Packet, from: Ipv6Addr) -> Vec<Client> {
    /// No machine has more associations than this.
    const MOST: usize = 8;
    let Some(sender) = Sender::of(packet, from) else { return Vec::new() };
    let ids = packet.options.all(code::IA_NA).take(MOST);
    ids.filter_map(|value| Some(sender.client(*value.first_chunk()?))).collect()
}

/// The MAC address of the sender of a packet that came `from`: what the relay next to it says, else
/// what its identifier says, else what its link-local address was made of.
pub fn mac(packet: &Packet, from: Ipv6Addr) -> Option<MacAddr> {
    let duid = || in_duid(packet.options.get(code::CLIENT_ID)?);
    told_by_relay(packet).or_else(duid).or_else(|| in_address(peer(packet, from)))
}

/// The lower half of the addresses that the sender of a packet makes itself of its MAC address;
/// `None` if it makes them of something else (RFC 4862, section 5.5.3).
pub(super) fn interface_id(packet: &Packet, from: Ipv6Addr) -> Option<u64> {
    let peer = peer(packet, from);
    in_address(peer).and(peer.octets().last_chunk().map(|id| u64::from_be_bytes(*id)))
}

/// The system UUID in an identifier (RFC 6355), if it tells a machine from others.
///
/// EDK2 copies it from SMBIOS as it is, iPXE puts it into the order of the network; whoever looks
/// it up tries both.
pub(super) fn uuid(packet: &Packet) -> Option<Uuid> {
    let [0, 4, bytes @ ..] = packet.options.get(code::CLIENT_ID)? else { return None };
    identifying(Uuid::from_bytes(bytes.try_into().ok()?))
}

/// The address at which the relay next to the client, or we, heard it.
fn peer(packet: &Packet, from: Ipv6Addr) -> Ipv6Addr {
    packet.relays.last().map_or(from, |relay| relay.peer)
}

/// What a relay further away says is about another relay.
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

/// A modified EUI-64 that was made from a MAC address (RFC 4291, appendix A). Other interface
/// identifiers say nothing.
fn in_address(address: Ipv6Addr) -> Option<MacAddr> {
    let [.., first, second, third, 0xff, 0xfe, fourth, fifth, sixth] = address.octets() else {
        return None;
    };
    let mac = of_one([first ^ 2, second, third, fourth, fifth, sixth]);
    mac.filter(|_| address.is_unicast_link_local())
}

/// As [`usable`], and not of a group.
fn of_one(mac: [u8; 6]) -> Option<MacAddr> {
    usable(mac).filter(|mac| mac.0[0] & 1 == 0)
}
