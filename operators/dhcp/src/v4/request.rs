//! A packet that concerns us, and what the server knows about it.

use super::{BOOT_SERVER_PORT, CLIENT_PORT, SERVER_PORT, boot_kind::is_up, client::Relay};
use crate::{
    boot_kind::BootKind,
    client::Client,
    config::{BmcSubnets, Config, Subnet},
    lease::{Leases, claim::LeaseSubnet as _},
    subnet_check::{self, Via},
};
use jiff::Timestamp;
use metal_api::MacAddr;
use metal_core::{boot::decision::Boot, macdb::MacDb};
use metal_wire::v4::{BOOT_REQUEST, MessageType, Packet};
use std::{
    net::{Ipv4Addr, SocketAddrV4},
    slice,
};

/// RFC 1542, section 4.1.1.
const MAX_HOPS: u8 = 16;

/// The configuration and state of the server.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// Tells which clients are BMCs, in subnets of BMCs: these get no boot file, and are reported.
    pub bmcs: &'a MacDb,
    /// The leases, with the pools of the configuration.
    pub leases: &'a Leases,
    /// What the sender of the packet, as identified by [`super::identity`], boots.
    pub boot: &'a Boot,
}

/// How a packet arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival<'a> {
    /// Our address there, which clients use as server identifier.
    pub server: Ipv4Addr,
    /// All of our addresses on the link that it came in by, if it was sent to everybody there. None
    /// if it was sent to our address alone, as such a packet may come from any link.
    pub link: &'a [Ipv4Addr],
    /// Whether it was sent to our address alone.
    pub is_unicast: bool,
    /// Our port there.
    pub port: u16,
    /// Where it came from.
    pub from: SocketAddrV4,
}

/// Why a packet is not answered.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, strum::Display, strum::IntoStaticStr,
)]
pub enum DropReason {
    /// It is an answer of a server, or of an unknown type.
    NotRequest,
    /// It has passed too many relays.
    TooManyHops,
    /// It contains neither a MAC address nor an identifier.
    Unidentified,
    /// The lists of MAC prefixes exclude it.
    Denied,
    /// It comes from a link that is not configured.
    NoSubnet,
    /// It claims a subnet of BMCs, but comes neither from its link nor from a relay that acts for it.
    UnknownRelay,
    /// Every address of the subnet is in use.
    NoFreeAddress,
    /// The subnet has addresses for reservations only, and none for it.
    NotReserved,
    /// The client addresses another server.
    OtherServer,
    /// The server knows nothing about it, but another server may.
    UnknownClient,
    /// It lacks a required address.
    NoAddress,
    /// It releases an address that is not its own.
    NotTheirs,
    /// The address was released; that is not answered.
    Released,
    /// The address is in quarantine; that is not answered.
    Declined,
    /// Another server assigns the addresses, and there is no boot file.
    NothingToBoot,
    /// It was sent to the port of the boot server, where it is not served.
    WrongPort,
    /// What the client was powered on to boot by UEFI HTTP is not ready.
    BootNotReady,
}

/// A packet that concerns us, with everything that its answer depends on.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) server: Server<'a>,
    pub(super) packet: &'a Packet,
    pub(super) now: Timestamp,
    pub(super) client: Client,
    pub(super) subnet: &'a Subnet,
    /// Our server identifier.
    pub(super) server_id: Ipv4Addr,
    pub(super) arrival: Arrival<'a>,
    /// The relay to send answers to, unless they are for the client alone.
    relay: Option<SocketAddrV4>,
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
        if packet.op != BOOT_REQUEST {
            return Err(DropReason::NotRequest);
        }
        if packet.hops > MAX_HOPS {
            return Err(DropReason::TooManyHops);
        }
        let client = Client::of(packet).ok_or(DropReason::Unidentified)?;
        let mac = client.mac();
        if !server.config.admits(mac) {
            return Err(DropReason::Denied);
        }
        let relay = Relay::of(&packet.options);
        let port = if relay.to_source_port { arrival.from.port() } else { SERVER_PORT };
        let is_relayed = !packet.giaddr.is_unspecified();
        let subnet = if is_relayed {
            server.config.subnet_behind(relay.link.unwrap_or(packet.giaddr))
        } else {
            subnet_here(server.config, packet, &client, arrival)
        };
        let subnet = subnet.ok_or(DropReason::NoSubnet)?;
        let own = arrival.link.iter().copied().find(|own| !is_relayed && subnet.net.contains(own));
        let arrival = Arrival { server: own.unwrap_or(arrival.server), ..arrival };
        let is_bmc = subnet.bmc && mac.is_some_and(|mac| server.bmcs.lookup(mac).is_some());
        let is_believed = is_of(server.config, subnet, packet, arrival);
        // Anybody could take all addresses of a subnet of BMCs. In the only subnet, hosts behind
        // relays that nobody has listed get theirs all the same.
        let is_for_bmcs = subnet.bmc && server.config.bmc_subnets == BmcSubnets::Named;
        if !is_believed && (is_bmc || is_for_bmcs) {
            return Err(DropReason::UnknownRelay);
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

    /// How the client boots. A BMC does not boot by us.
    pub(super) fn booting(&self) -> BootKind {
        if self.is_bmc { BootKind::No } else { BootKind::of(&self.packet.options) }
    }

    /// What the client is to boot.
    pub(super) fn boot(&self) -> &'a Boot {
        self.server.boot
    }

    /// Whether the client should ask again later: EDK2 repeats its first message for a minute if nobody
    /// answers, and goes on to its next boot device after an answer without a URL.
    pub(super) fn waits(&self) -> bool {
        let is_http = matches!(self.booting(), BootKind::Http(_)) && !is_up(self.packet);
        is_http && self.boot().awaits_http()
    }

    /// Our address as the client reaches it.
    pub(super) fn own_address(&self) -> Ipv4Addr {
        self.arrival.server
    }

    /// Our addresses on the client's link, as far as they are known.
    pub(super) fn own_addresses(&self) -> &[Ipv4Addr] {
        match self.arrival.link {
            [] => slice::from_ref(&self.arrival.server),
            link => link,
        }
    }

    pub(super) fn config(&self) -> &'a Config {
        self.server.config
    }

    /// The destination of an answer of this type (RFC 2131, section 4.1).
    pub(super) fn destination(&self, kind: MessageType) -> SocketAddrV4 {
        if self.arrival.port == BOOT_SERVER_PORT {
            return self.arrival.from;
        }
        let may_be_told = kind != MessageType::Nak || self.is_distant();
        let address = self.speaks_from().filter(|_| may_be_told);
        let direct = address.unwrap_or(Ipv4Addr::BROADCAST);
        self.relay.unwrap_or(SocketAddrV4::new(direct, CLIENT_PORT))
    }

    /// Whether the client renews its lease from a link that we are not on. RFC 2131, section 4.1, has every refusal
    /// broadcast, which would not reach it, and it would keep its address until it rebinds.
    fn is_distant(&self) -> bool {
        let ciaddr = self.packet.ciaddr;
        let mut ends = [self.arrival.server, ciaddr].into_iter();
        let is_here = ends.all(|end| self.subnet.net.contains(&end));
        self.arrival.is_unicast && *self.arrival.from.ip() == ciaddr && !is_here
    }

    /// The address at which the client can be reached: the one in `ciaddr`; for an INFORM without
    /// it, contrary to RFC 2131, section 4.4.3, the source address.
    pub(super) fn speaks_from(&self) -> Option<Ipv4Addr> {
        let is_here = self.relay.is_none() && self.is_believed;
        let informs = MessageType::of(self.packet) == Some(MessageType::Inform);
        let from = Some(*self.arrival.from.ip()).filter(|_| informs && is_here);
        let is_address = |address: &Ipv4Addr| !address.is_unspecified();
        Some(self.packet.ciaddr).filter(is_address).or(from.filter(is_address))
    }

    /// The hardware address of a client that is answered alone at `yiaddr`, which it does not have
    /// yet (RFC 2131, section 4.1). A refusal is broadcast.
    pub(super) fn direct(&self, kind: MessageType, yiaddr: Ipv4Addr) -> Option<MacAddr> {
        let is_for_all = self.destination(kind).ip().is_broadcast() && kind != MessageType::Nak;
        let may = is_for_all && !self.packet.broadcast && !yiaddr.is_unspecified();
        self.client.mac().filter(|mac| may && mac.0[0] & 1 == 0)
    }
}

/// The subnet of a client that speaks without a relay, from the link, or from the address that it
/// already has: a client behind a relay renews without the relay.
fn subnet_here<'a>(
    config: &'a Config,
    packet: &Packet,
    client: &Client,
    arrival: Arrival<'_>,
) -> Option<&'a Subnet> {
    if !arrival.link.is_empty() {
        return subnet_on(config, packet, client, arrival.link);
    }
    config.subnet_of(packet.ciaddr).or_else(|| config.subnet_of(arrival.server))
}

/// The subnet of a client on a link where we have these addresses. It is on that link whatever address
/// it believes to have (RFC 2131, section 4.3.2). Of several subnets, it is in that of its address, or
/// else of its reservation; otherwise the first of the configuration counts.
fn subnet_on<'a>(
    config: &'a Config,
    packet: &Packet,
    client: &Client,
    link: &[Ipv4Addr],
) -> Option<&'a Subnet> {
    let here: Vec<_> = config.subnets_on(link).collect();
    let of_address = here.iter().find(|subnet| subnet.net.contains(&packet.ciaddr));
    let of_reservation = || here.iter().find(|subnet| subnet.reservation(client).is_some());
    of_address.or_else(of_reservation).or(here.first()).copied()
}

/// Whether a packet can come from the subnet that it claims.
///
/// A client on the link has no address yet, or sends from an address of the link: the one that it
/// renews, or another that its host has. It does not belong to the subnet of another link, whatever
/// the packet says.
fn is_of(config: &Config, subnet: &Subnet, packet: &Packet, arrival: Arrival<'_>) -> bool {
    let (from, addresses) = (*arrival.from.ip(), subnet.addresses());
    let way = if packet.giaddr.is_unspecified() {
        let is_renewal = from == packet.ciaddr && addresses.contains(&from);
        let is_on_link = addresses.contains(&arrival.server)
            && (from.is_unspecified() || addresses.contains(&from));
        Via::Direct { is_here: is_renewal || is_on_link }
    } else {
        Via::Relayed(packet.giaddr)
    };
    let relays = subnet.relays.iter().chain(&config.relays).copied();
    subnet_check::is_of(&addresses, way, from, relays)
}
