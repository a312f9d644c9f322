//! A packet that concerns us, and what the server knows about it.

use super::{BOOT_SERVER_PORT, CLIENT_PORT, SERVER_PORT, client::Relay};
use crate::{
    booting::Booting,
    client::Client,
    config::{Config, Subnet},
    lease::{Leases, claim::Room as _},
    origin::{self, Way},
};
use jiff::Timestamp;
use metal_api::MacAddr;
use metal_core::{boot::decision::Boot, macdb::MacDb};
use metal_wire::v4::{BOOT_REQUEST, MessageType, Packet};
use std::net::{Ipv4Addr, SocketAddrV4};

/// RFC 1542, section 4.1.1.
const MAX_HOPS: u8 = 16;

/// What is served, and what is known.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Who is a BMC, in a subnet of BMCs: those get no boot file, and are reported.
    pub bmcs: &'a MacDb,
    /// The leases, with the pools of the configuration.
    pub leases: &'a Leases,
    /// What the sender of the packet is to boot, as [`super::identity`] names it.
    pub boot: &'a Boot,
}

/// How a packet arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Our address there, by which clients are to know us.
    pub server: Ipv4Addr,
    /// Our port there.
    pub port: u16,
    /// Where it came from.
    pub from: SocketAddrV4,
}

/// Why a packet is not answered.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, strum::Display, strum::IntoStaticStr,
)]
pub enum Silence {
    /// It is an answer of a server, or of no type that we know.
    NotRequest,
    /// It went through too many relays.
    TooManyHops,
    /// It says neither a MAC address nor an identifier.
    Unidentified,
    /// The lists of MAC prefixes exclude it.
    Denied,
    /// It comes from a link that is not configured.
    NoSubnet,
    /// It names a BMC, and comes neither from its link nor from a relay that speaks for that.
    UnknownRelay,
    /// Every address of the subnet is in use.
    NoFreeAddress,
    /// The client speaks to another server.
    OtherServer,
    /// We know nothing about it, and another server may.
    UnknownClient,
    /// It names no address where it must.
    NoAddress,
    /// It gives back an address that is not its own.
    NotTheirs,
    /// The address was given back; there is no answer to that.
    Released,
    /// The address rests; there is no answer to that.
    Declined,
    /// Another server gives out the addresses, and there is no boot file.
    NothingToBoot,
    /// Such a packet has no place at the port of the boot server.
    WrongPort,
}

/// A packet that concerns us, with everything that its answer depends on.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) server: Server<'a>,
    pub(super) packet: &'a Packet,
    pub(super) now: Timestamp,
    pub(super) client: Client,
    pub(super) subnet: &'a Subnet,
    /// What we call ourselves.
    pub(super) server_id: Ipv4Addr,
    pub(super) arrival: Arrival,
    /// Where an answer goes that need not be seen by the client alone.
    relay: Option<SocketAddrV4>,
    pub(super) is_bmc: bool,
    /// Whether it can be of the subnet that it was found to be of.
    pub(super) is_believed: bool,
}

impl<'a> Request<'a> {
    pub(super) fn new(
        server: Server<'a>,
        packet: &'a Packet,
        arrival: Arrival,
        now: Timestamp,
    ) -> Result<Self, Silence> {
        if packet.op != BOOT_REQUEST {
            return Err(Silence::NotRequest);
        }
        if packet.hops > MAX_HOPS {
            return Err(Silence::TooManyHops);
        }
        let client = Client::of(packet).ok_or(Silence::Unidentified)?;
        let mac = client.mac();
        if !server.config.admits(mac) {
            return Err(Silence::Denied);
        }
        let relay = Relay::of(&packet.options);
        let port = if relay.to_source_port { arrival.from.port() } else { SERVER_PORT };
        let subnet = subnet_of(server.config, packet, &relay, arrival).ok_or(Silence::NoSubnet)?;
        let is_relayed = !packet.giaddr.is_unspecified();
        let is_bmc = subnet.bmc && mac.is_some_and(|mac| server.bmcs.lookup(mac).is_some());
        let is_believed = is_of(server.config, subnet, packet, arrival);
        if is_bmc && !is_believed {
            return Err(Silence::UnknownRelay);
        }
        Ok(Self {
            server,
            packet,
            now,
            client,
            subnet,
            server_id: relay.server_id.unwrap_or(arrival.server),
            arrival,
            relay: is_relayed.then(|| SocketAddrV4::new(packet.giaddr, port)),
            is_bmc,
            is_believed,
        })
    }

    /// What the client boots by. A BMC boots by itself.
    pub(super) fn booting(&self) -> Booting {
        if self.is_bmc { Booting::No } else { Booting::of(&self.packet.options) }
    }

    /// What there is for it.
    pub(super) fn boot(&self) -> &'a Boot {
        self.server.boot
    }

    /// The address at which it reaches us.
    pub(super) fn own_address(&self) -> Ipv4Addr {
        self.arrival.server
    }

    pub(super) fn config(&self) -> &'a Config {
        self.server.config
    }

    /// Where an answer of this kind goes (RFC 2131, section 4.1).
    pub(super) fn destination(&self, kind: MessageType) -> SocketAddrV4 {
        if self.arrival.port == BOOT_SERVER_PORT {
            return self.arrival.from;
        }
        let address = self.speaks_from().filter(|_| kind != MessageType::Nak);
        let direct = address.unwrap_or(Ipv4Addr::BROADCAST);
        self.relay.unwrap_or(SocketAddrV4::new(direct, CLIENT_PORT))
    }

    /// The address at which the client is reached: the one that it names, and where it informs
    /// itself without naming one, as RFC 2131, section 4.4.3, wants it, the one that it sends from.
    pub(super) fn speaks_from(&self) -> Option<Ipv4Addr> {
        let is_here = self.relay.is_none() && self.is_believed;
        let informs = MessageType::of(self.packet) == Some(MessageType::Inform);
        let from = Some(*self.arrival.from.ip()).filter(|_| informs && is_here);
        let is_address = |address: &Ipv4Addr| !address.is_unspecified();
        Some(self.packet.ciaddr).filter(is_address).or(from.filter(is_address))
    }

    /// The hardware address of a client that is to be answered alone at `yiaddr`, which it does not
    /// have yet (RFC 2131, section 4.1). A refusal goes to everybody.
    pub(super) fn direct(&self, kind: MessageType, yiaddr: Ipv4Addr) -> Option<MacAddr> {
        let is_for_all = self.destination(kind).ip().is_broadcast() && kind != MessageType::Nak;
        let may = is_for_all && !self.packet.broadcast && !yiaddr.is_unspecified();
        self.client.mac().filter(|mac| may && mac.0[0] & 1 == 0)
    }
}

/// The subnet of the client: what the relay says, or where it has an address already, or the link
/// that it is on. A client behind a relay renews without it, so its address tells.
fn subnet_of<'a>(
    config: &'a Config,
    packet: &Packet,
    relay: &Relay,
    arrival: Arrival,
) -> Option<&'a Subnet> {
    if let Some(link) = relay.link {
        return config.subnet_behind(link);
    }
    if !packet.giaddr.is_unspecified() {
        return config.subnet_behind(packet.giaddr);
    }
    config.subnet_of(packet.ciaddr).or_else(|| config.subnet_of(arrival.server))
}

/// Whether a packet is of the subnet that it was found to be of.
///
/// A client on the link has no address yet, or speaks from one of the link, be it the one that it
/// renews or another that its host has; of the link of another subnet it is not, whatever it writes
/// into the packet.
fn is_of(config: &Config, subnet: &Subnet, packet: &Packet, arrival: Arrival) -> bool {
    let (from, addresses) = (*arrival.from.ip(), subnet.addresses());
    let way = if packet.giaddr.is_unspecified() {
        let is_renewal = from == packet.ciaddr && addresses.contains(&from);
        let is_on_link = addresses.contains(&arrival.server)
            && (from.is_unspecified() || addresses.contains(&from));
        Way::Direct { is_here: is_renewal || is_on_link }
    } else {
        Way::Relayed(packet.giaddr)
    };
    let relays = subnet.relays.iter().chain(&config.relays).copied();
    origin::is_of(&addresses, way, from, relays)
}
