//! DHCPv4 for machines whose addresses stand in objects: each has what is reserved for it, from every
//! server alike, and nobody else has anything.
//!
//! The decision is that of [`v4::decide`], for a configuration that is made of the reservations of one
//! machine. There is no lease to remember: what the object says is the lease.
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
use metal_core::{boot::decision::Boot, macdb::MacDb, machine::lease::Lease};
use std::{collections::HashMap, net::Ipv4Addr};

/// How long a lease lasts.
const LEASE_TIME: SignedDuration = SignedDuration::from_hours(24);

/// A machine, as its object has it.
#[derive(Clone, Copy, Debug)]
pub struct Reserved<'a> {
    /// What the interface that asks is given: one for each subnet that it may be found in.
    pub leases: &'a [Lease],
    /// Its name, which is told to whoever asks for one.
    pub hostname: &'a str,
    /// What it boots; `None` if that is not there yet.
    pub image: Option<Image<'a>>,
    /// Where its files are to be had by HTTP.
    pub url: &'a str,
    /// Where its files are to be had by TFTP; `None` is where it asks.
    pub tftp: Option<Ipv4Addr>,
}

/// What a machine boots.
#[derive(Clone, Copy)]
pub struct Image<'a> {
    /// The file that firmware loads first; empty if it names none.
    pub boot_file: &'a str,
    /// Whether it has a file.
    pub has: &'a dyn Fn(&str) -> bool,
}

impl std::fmt::Debug for Image<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Image").field("boot_file", &self.boot_file).finish_non_exhaustive()
    }
}

/// Why a machine is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum Silence {
    /// Its firmware asks, and what it is to boot is not there yet: it asks again.
    ImageMissing,
    /// It found its address in use by somebody else; there is no answer to that.
    Declined,
    /// The packet itself is why.
    #[strum(disabled)]
    Packet(v4::Silence),
}

impl Silence {
    /// A word for it, of few.
    pub fn word(self) -> &'static str {
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
    arrival: Arrival,
    now: Timestamp,
) -> Result<Box<Reply>, Silence> {
    let kind = MessageType::of(packet);
    if kind == Some(MessageType::Decline) {
        let declined = packet.options.address(code::REQUESTED_ADDRESS);
        let is_theirs = machine.leases.iter().any(|lease| Some(lease.ip) == declined);
        let silence = if is_theirs { Silence::Declined } else { NOT_THEIRS };
        return Err(silence);
    }
    // A machine that runs keeps its address, whatever became of its image.
    let is_firmware = v4::identity(packet).is_some();
    if kind == Some(MessageType::Discover) && is_firmware && machine.image.is_none() {
        return Err(Silence::ImageMissing);
    }
    let subnets = machine.leases.iter().filter_map(|lease| subnet(lease, machine.hostname));
    let boot = boot_file::files(machine, packet, arrival.server);
    let config = Config::reserving(subnets.collect(), boot);
    let (bmcs, leases) = (MacDb::default(), Leases::default());
    let server = Server { config: &config, bmcs: &bmcs, leases: &leases, boot: &Boot::Default };
    v4::decide(server, packet, arrival, now).answer.map_err(Silence::Packet)
}

const NOT_THEIRS: Silence = Silence::Packet(v4::Silence::NotTheirs);

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
        // A gateway may be the relay of a subnet that it has no address of.
        relays: router.into_iter().collect(),
        dns: lease.dns.clone(),
        lease_time: LEASE_TIME,
        reservations: HashMap::from([(mac, reservation)]),
        reserved: HashMap::from([(lease.ip, mac)]),
        ..Subnet::new(net)
    })
}
