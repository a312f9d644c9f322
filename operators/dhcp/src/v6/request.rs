//! A packet that concerns us, and what the server knows about it.

use super::{boot_kind::boot_kind, client::Sender, ia::Ia};
use crate::{
    boot_kind::BootKind,
    client::Client,
    config::{
        self, BmcSubnets,
        v6::{Config, Subnet},
    },
    lease::{Leases, claim::LeaseSubnet as _},
    subnet_check::{self, Via},
};
use jiff::Timestamp;
use metal_api::MacAddr;
use metal_core::{boot::decision::Boot, macdb::MacDb};
use metal_wire::v6::{MessageType, Packet, code};
use std::net::{Ipv6Addr, SocketAddrV6};

/// How many identity associations of one message are processed.
const MOST_IAS: usize = 16;

/// The configuration and state of the server.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// The configuration for both IP versions.
    pub config: &'a config::Config,
    /// The configuration for IPv6.
    pub v6: &'a Config,
    /// Our DUID.
    pub id: &'a [u8],
    /// Tells which clients are BMCs, in subnets of BMCs: these get no boot file, and are reported.
    pub bmcs: &'a MacDb,
    /// The leases, with the pools of the configuration.
    pub leases: &'a Leases<Ipv6Addr>,
    /// What the sender of the packet, as identified by [`super::identity`], boots.
    pub boot: &'a Boot,
}

/// How a packet arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival<'a> {
    /// The interface that it came in by, if that is served.
    pub interface: Option<&'a str>,
    /// Our addresses there that are not link-local.
    pub addresses: &'a [Ipv6Addr],
    /// Where it came from.
    pub from: SocketAddrV6,
}

/// Why a packet is not answered.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, strum::Display, strum::IntoStaticStr,
)]
pub enum DropReason {
    /// It is an answer of a server, or of an unknown type.
    NotRequest,
    /// It has an option that its type must not have, or lacks one that it must have.
    Invalid,
    /// An identity association in it is malformed.
    BrokenOption,
    /// The client is not behind a relay, but does not send from a link-local address.
    NotLinkLocal,
    /// It does not identify its sender.
    Unidentified,
    /// The lists of MAC prefixes exclude it.
    Denied,
    /// It comes from a link that is not configured.
    NoSubnet,
    /// It claims a subnet of BMCs, or gives back an address, but comes neither from the link nor from
    /// a relay that acts for it.
    UnknownRelay,
    /// The client addresses another server.
    OtherServer,
    /// The server knows nothing about it, but another server may.
    UnknownClient,
    /// It lacks a required address.
    NoAddress,
    /// What the client was powered on to boot by UEFI HTTP is not ready.
    BootNotReady,
}

/// A packet that concerns us, with everything that its answer depends on.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) server: Server<'a>,
    pub(super) packet: &'a Packet,
    pub(super) now: Timestamp,
    /// `None` without an identifier, which is allowed only in an INFORMATION-REQUEST.
    sender: Option<Sender>,
    pub(super) mac: Option<MacAddr>,
    /// Its identity associations for addresses, with distinct IAIDs.
    pub(super) ias: Vec<Ia>,
    pub(super) subnet: &'a Subnet,
    pub(super) arrival: Arrival<'a>,
    pub(super) is_bmc: bool,
    /// Whether the packet can come from the subnet that it claims.
    pub(super) is_believed: bool,
}

impl<'a> Request<'a> {
    pub(super) fn new(
        server: Server<'a>,
        packet: &'a Packet,
        arrival: Arrival<'a>,
        now: Timestamp,
    ) -> Result<Self, DropReason> {
        let from = *arrival.from.ip();
        if packet.relays.is_empty() && !from.is_unicast_link_local() {
            return Err(DropReason::NotLinkLocal);
        }
        let sender = Sender::of(packet, from);
        let needs_none = packet.kind() == Some(MessageType::InformationRequest)
            && packet.options.get(code::CLIENT_ID).is_none();
        if sender.is_none() && !needs_none {
            return Err(DropReason::Unidentified);
        }
        let mac = sender.as_ref().map_or_else(|| super::mac(packet, from), |sender| sender.mac);
        if !server.config.admits(mac) {
            return Err(DropReason::Denied);
        }
        let macs = [sender.as_ref().and_then(|sender| sender.interface), mac];
        let subnet = subnet_of(server.v6, packet, macs, arrival).ok_or(DropReason::NoSubnet)?;
        let ias = ias(packet).ok_or(DropReason::BrokenOption)?;
        let is_bmc = subnet.bmc && mac.is_some_and(|mac| server.bmcs.lookup(mac).is_some());
        let is_believed = is_of(server.v6, subnet, packet, from);
        // As with IPv4, anybody could take all addresses of a subnet of BMCs.
        let is_for_bmcs = subnet.bmc && server.config.bmc_subnets == BmcSubnets::Named;
        if !is_believed && (is_bmc || is_for_bmcs) {
            return Err(DropReason::UnknownRelay);
        }
        Ok(Self { server, packet, now, sender, mac, ias, subnet, arrival, is_bmc, is_believed })
    }

    /// How the client boots. A BMC does not boot by us.
    pub(super) fn booting(&self) -> BootKind {
        if self.is_bmc { BootKind::No } else { boot_kind(&self.packet.options) }
    }

    /// What the client is to boot.
    pub(super) fn boot(&self) -> &'a Boot {
        self.server.boot
    }

    /// Whether the client should ask again later: EDK2 repeats its first message for a minute if nobody
    /// answers, and goes on to its next boot device after an answer without a URL.
    pub(super) fn waits(&self) -> bool {
        matches!(self.booting(), BootKind::Http(_)) && self.boot().awaits_http()
    }

    /// The address that is reserved for the interface that it sends from, or else for the one that its identifier
    /// is made from, which all interfaces of a host send.
    pub(super) fn reserved(&self) -> Option<Ipv6Addr> {
        let interface = self.sender.as_ref().and_then(|sender| sender.interface);
        let reservations = &self.subnet.reservations;
        [interface, self.mac].into_iter().flatten().find_map(|mac| reservations.get(&mac).copied())
    }

    /// What it loads to configure itself, if it is a switch.
    pub(super) fn ztp(&self) -> Option<&'a str> {
        self.mac.and_then(|mac| self.server.config.ztp_of(mac))
    }

    pub(super) fn v6(&self) -> &'a Config {
        self.server.v6
    }

    pub(super) fn server_id(&self) -> &'a [u8] {
        self.server.id
    }

    pub(super) fn from(&self) -> SocketAddrV6 {
        self.arrival.from
    }

    /// Whether the client asks for an option, or sends no list.
    pub(super) fn wants(&self, code: u16) -> bool {
        let list = self.packet.options.get(code::OPTION_REQUEST);
        list.is_none_or(|list| list.as_chunks::<2>().0.contains(&code.to_be_bytes()))
    }

    pub(super) fn ias(&self) -> &[Ia] {
        &self.ias
    }

    /// Distinguishes an association from others of the same interface.
    pub(super) fn binding(&self, ia: &Ia) -> Option<u64> {
        self.sender.as_ref().map(|sender| sender.binding(ia.id))
    }

    /// Whether a lease may be bound to this association: firmware, boot loader and operating system
    /// of one machine get the same address in turn, and only the current one may extend it or give
    /// it back.
    pub(super) fn is_bound_to(&self, ia: &Ia, address: Ipv6Addr) -> bool {
        let bound = self.server.leases.get(address).and_then(|lease| lease.binding);
        bound.is_none_or(|bound| self.binding(ia) == Some(bound))
    }

    /// The owner of the lease for an association.
    pub(super) fn client(&self, ia: &Ia) -> Client {
        let client = self.sender.as_ref().map(|sender| sender.client(ia.id));
        client.unwrap_or_else(|| Client::Id(Box::from(ia.id)))
    }
}

/// `None` if one is malformed.
fn ias(packet: &Packet) -> Option<Vec<Ia>> {
    let mut ias: Vec<Ia> = Vec::new();
    for value in packet.options.all(code::IA_NA).take(MOST_IAS) {
        let ia = Ia::parse(value)?;
        if ias.iter().all(|other| other.id != ia.id) {
            ias.push(ia);
        }
    }
    Some(ias)
}

/// The subnet of the client: given by the nearest relay that names a link, else by the link that
/// the packet came in by. If we have addresses of several subnets there, it is that of its
/// reservation, or else the first of the configuration.
fn subnet_of<'a>(
    config: &'a Config,
    packet: &Packet,
    macs: [Option<MacAddr>; 2],
    arrival: Arrival<'_>,
) -> Option<&'a Subnet> {
    if let Some(link) = link_of(packet) {
        return config.subnet_behind(link);
    }
    if let Some(named) = arrival.interface.and_then(|interface| config.subnet_on(interface)) {
        return Some(named);
    }
    let here: Vec<_> = config.subnets_of(arrival.addresses).collect();
    let of_reservation =
        |mac: MacAddr| here.iter().find(|subnet| subnet.reservations.contains_key(&mac)).copied();
    let reserved = macs.into_iter().flatten().find_map(of_reservation);
    reserved.or_else(|| here.first().copied())
}

/// The link of the client, given by the nearest relay that names one.
pub fn link_of(packet: &Packet) -> Option<Ipv6Addr> {
    packet.relays.iter().rev().map(|relay| relay.link).find(|link| !link.is_unspecified())
}

/// Whether a packet can come from the subnet that it claims. A packet that names no link comes from
/// ours.
fn is_of(config: &Config, subnet: &Subnet, packet: &Packet, from: Ipv6Addr) -> bool {
    let way = match link_of(packet) {
        Some(link) => Via::Relayed(link),
        None => Via::Direct { is_here: from.is_unicast_link_local() },
    };
    let relays = subnet.relays.iter().chain(&config.relays).copied();
    subnet_check::is_of(&subnet.addresses(), way, from, relays)
}
