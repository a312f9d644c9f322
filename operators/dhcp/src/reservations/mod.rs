//! DHCPv4 for machines with addresses in objects: each machine gets its reserved address, the same
//! from every server, and no other client gets any.
//!
//! The decision is made by [`v4::decide`], with a configuration that consists of the reservations
//! of one machine. There are no leases to store: the object is the lease.
//!
//! ```text
//! DISCOVER ──► OFFER of its address          REQUEST of its address ──► ACK
//!    └► of firmware, without an image: none     ├► of another address ──► NAK
//! INFORM   ──► ACK without an address           └► to another server ───► nothing
//! ```

mod boot_file;
#[cfg(test)]
mod tests;

use crate::{
    config::{Config, Reservation, Subnet},
    lease::Leases,
    v4::{self, Arrival, MessageType, Packet, Reply, Server, code},
};
use ipnet::Ipv4Net;
use jiff::{SignedDuration, Timestamp};
use metal_core::{boot::decision::Boot, macdb::MacDb, machine_identity::lease::Lease};
use std::{collections::HashMap, net::Ipv4Addr};

/// How long a lease lasts.
const LEASE_TIME: SignedDuration = SignedDuration::from_hours(24);

/// A machine, as its object describes it.
#[derive(Clone, Copy, Debug)]
pub struct Reserved<'a> {
    /// The leases of the requesting interface, one per subnet in which it may appear.
    pub leases: &'a [Lease],
    /// Its host name, for clients that request one.
    pub hostname: &'a str,
    /// What it boots; `None` if that is not available yet.
    pub image: Option<Image<'a>>,
    /// URL of its files by HTTP.
    pub url: &'a str,
    /// TFTP server of its files; `None` for the address at which it reaches us.
    pub tftp: Option<Ipv4Addr>,
}

/// What a machine boots.
#[derive(Clone, Copy)]
pub struct Image<'a> {
    /// The boot file; empty if there is none.
    pub boot_file: &'a str,
    /// Returns whether the image has a file.
    pub has: &'a dyn Fn(&str) -> bool,
}

impl std::fmt::Debug for Image<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Image").field("boot_file", &self.boot_file).finish_non_exhaustive()
    }
}

/// Why a machine is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum DropReason {
    /// A request of its firmware, and its image is not available yet; firmware retries.
    ImageMissing,
    /// A DHCPDECLINE: the machine found its address in use by another host; there is no response to
    /// that.
    Declined,
    /// For a reason in the packet itself.
    #[strum(disabled)]
    Packet(v4::DropReason),
}

impl DropReason {
    /// The reason, from a small fixed set.
    pub fn label(self) -> &'static str {
        match self {
            Self::ImageMissing | Self::Declined => self.into(),
            Self::Packet(silence) => silence.into(),
        }
    }
}

/// Decides about a packet of a machine. Pure: the same arguments give the same answer.
///
/// # Errors
///
/// Why there is no answer.
pub fn decide(
    machine: &Reserved<'_>,
    packet: &Packet,
    arrival: Arrival<'_>,
    now: Timestamp,
) -> Result<Box<Reply>, DropReason> {
    let kind = MessageType::of(packet);
    if kind == Some(MessageType::Decline) {
        let declined = packet.options.address(code::REQUESTED_ADDRESS);
        let is_theirs = machine.leases.iter().any(|lease| Some(lease.ip) == declined);
        let silence = if is_theirs { DropReason::Declined } else { NOT_THEIRS };
        return Err(silence);
    }
    // A running machine gets its address, whatever the state of its image.
    let is_firmware = v4::identity(packet).is_some() && !v4::is_up(packet);
    if kind == Some(MessageType::Discover) && is_firmware && machine.image.is_none() {
        return Err(DropReason::ImageMissing);
    }
    let subnets = machine.leases.iter().filter_map(|lease| subnet(lease, machine.hostname));
    let boot = boot_file::files(machine, packet, arrival.server);
    let config = Config::reserving(subnets.collect(), boot);
    let (bmcs, leases) = (MacDb::default(), Leases::default());
    let server = Server { config: &config, bmcs: &bmcs, leases: &leases, boot: &Boot::Default };
    v4::decide(server, packet, arrival, now).answer.map_err(DropReason::Packet)
}

const NOT_THEIRS: DropReason = DropReason::Packet(v4::DropReason::NotTheirs);

/// Whether an address of ours is on a link where these leases are served.
pub fn is_on_link(leases: &[Lease], own: Ipv4Addr) -> bool {
    let nets = leases.iter().filter_map(|lease| Ipv4Net::new(lease.ip, lease.prefix).ok());
    nets.into_iter().any(|net| net.contains(&own))
}

fn subnet(lease: &Lease, hostname: &str) -> Option<Subnet> {
    let hostname = Some(hostname.to_owned()).filter(|name| !name.is_empty());
    let reservation = Reservation { ip: lease.ip, hostname };
    let net = Ipv4Net::new(lease.ip, lease.prefix).ok()?.trunc();
    let (mac, router) = (lease.mac, lease.gateway);
    Some(Subnet {
        router,
        // A gateway may be the relay of a subnet in which it has no address.
        relays: router.into_iter().collect(),
        dns: lease.dns.clone(),
        lease_time: LEASE_TIME,
        reservations: HashMap::from([(mac, reservation)]),
        reserved: HashMap::from([(lease.ip, mac)]),
        ..Subnet::new(net)
    })
}
