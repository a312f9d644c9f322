//! The validated configuration: whatever these types can hold can be served.
//!
//! ```yaml
//! interfaces: [eth1]               # answer clients on these links, and relays
//! listen: ["10.0.0.2"]             # answer relays at these addresses; `:port` may follow
//! relays: ["10.9.0.2"]             # relays that send from here speak for any subnet
//! authoritative: true              # no other server gives out addresses of these subnets
//! subnets:
//!   - subnet: 10.77.0.0/24
//!     bmc: true                    # BMCs are here; nowhere else is a BMC recorded
//!     mode: leases                 # or `proxy`: another server gives out the addresses
//!     relays: [10.9.0.1]           # relays that speak for it; those inside it do anyway
//!     ranges: [10.77.0.100-10.77.0.200]
//!     router: 10.77.0.1
//!     dns: [10.77.0.1]
//!     ntp: [10.77.0.1]
//!     domain: oob.example.org
//!     mtu: 1500
//!     routes:                      # besides the one to router
//!       - { to: 10.80.0.0/16, via: 10.77.0.2 }
//!     leaseTime: 1h
//!     reservations:
//!       - { mac: "aa:bb:cc:00:00:01", ip: 10.77.0.10, hostname: rack1-u1 }
//! boot:
//!   nextServer: 10.77.0.2          # TFTP server of the three files; we, if it is left out
//!   bios: undionly.kpxe
//!   uefi: snponly.efi
//!   arm64: snponly-arm64.efi
//!   http: http://10.77.0.2:8082/httpboot/uki.efi
//!   httpArm64: http://10.77.0.2:8082/httpboot/uki-arm64.efi
//!   ipxe: http://10.77.0.2:8082/ipxe/${uuid}
//! tftp:                            # serve these files ourselves; then nextServer may be left out
//!   root: /usr/lib/ipxe            # the folder that they are in
//!   listen: ["10.0.0.2"]           # addresses; `:port` may follow; without any, all IPv4 ones
//! conflictProbe: true              # ping an address before it is offered to a new client
//! ztp:                             # what switches load first (SONiC: 239; ONIE: 67, v6 59)
//!   - { mac: "aa:bb:cc:00:00:09", url: http://10.77.0.2/sonic.json }
//! allow: []                        # MAC prefixes; if there is any, nobody else is answered
//! deny: []                         # MAC prefixes that are never answered
//! endpoints:
//!   mode: endpoint                 # or `bmc`: BMCs that have the address themselves
//!   newPerMinute: 120              # new BMCs in one subnet
//!   maxUnanswered: 256             # new BMCs in all that have not answered yet
//!   namePrefix: compute-           # names of new Endpoints; the MAC address follows
//! instances:                       # two servers for one network; left out: one
//!   mode: standby                  # one answers; or `split`: both do, from a half each
//!   part: 1                        # this one's half of each range; the other one has 2
//! dhcp6: ...                       # the DHCPv6 server: see `config/v6/mod.rs`
//! ```

mod bmc;
mod boot;
mod field;
mod instances;
mod missing_boot_files;
mod parse;
mod raw;
mod reserving;
mod route;
pub mod schema;
mod subnet;
#[cfg(test)]
mod tests;
mod tftp;
mod unused;
pub mod v6;

pub use bmc::BmcSubnets;
pub(crate) use boot::MAX_FILE;
pub use boot::{BootFiles, NamedFile, TftpFile};
pub use field::ConfigError;
pub use missing_boot_files::MissingBootFiles;
pub use route::{Route, Ztp};
pub use tftp::Tftp;
pub use unused::Unused;

use crate::{client::Client, fair_queue::Priority, lease::claim::LeaseSubnet, sharding::Instances};
use ipnet::Ipv4Net;
use jiff::SignedDuration;
use metal_api::MacAddr;
use metal_core::macdb::MacPrefix;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddrV4},
    ops::RangeInclusive,
};

/// The configuration of the DHCP and TFTP servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Interfaces whose links are served.
    pub interfaces: Vec<String>,
    /// Addresses at which relays are served.
    pub listen: Vec<SocketAddrV4>,
    /// Source addresses of relays that speak for any subnet.
    pub relays: Vec<Ipv4Addr>,
    /// No other server assigns addresses of these subnets, so clients with a wrong address are told
    /// so.
    pub authoritative: bool,
    /// A new client is offered an address only if nothing answers at it.
    pub conflict_probe: bool,
    /// The subnets; they do not overlap.
    pub subnets: Vec<Subnet>,
    /// What machines boot.
    pub boot: BootFiles,
    /// The built-in TFTP server, if enabled.
    pub tftp: Option<Tftp>,
    /// What switches load first; the longest matching prefix counts.
    pub ztp: Vec<Ztp>,
    /// If not empty, clients with other MAC addresses are not answered.
    pub allow: Vec<MacPrefix>,
    /// Clients with these MAC addresses are not answered.
    pub deny: Vec<MacPrefix>,
    /// Prefix of the names of new Endpoints.
    pub endpoint_prefix: String,
    /// The kind of object that is made for a BMC.
    pub record: Record,
    /// Limits on recording new BMCs.
    pub new_bmcs: NewBmcLimits,
    /// How it is known which subnets have BMCs.
    pub bmc_subnets: BmcSubnets,
    /// The other instance, if there is one.
    pub instances: Option<Instances>,
    /// The DHCPv6 server, if enabled.
    pub dhcp6: Option<v6::Config>,
    /// Settings that have no effect, each once for a subnet.
    pub unused: Vec<Unused>,
}

/// One subnet, and the settings of its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// The subnet.
    pub net: Ipv4Net,
    /// What its clients get.
    pub mode: Mode,
    /// Whether it has BMCs.
    pub bmc: bool,
    /// Relays outside of it that act for it, by `giaddr` or by source address.
    pub relays: Vec<Ipv4Addr>,
    /// Addresses for any client. They do not overlap.
    pub ranges: Vec<RangeInclusive<Ipv4Addr>>,
    /// Default route.
    pub router: Option<Ipv4Addr>,
    /// DNS servers.
    pub dns: Vec<Ipv4Addr>,
    /// NTP servers.
    pub ntp: Vec<Ipv4Addr>,
    /// Domain name.
    pub domain: Option<String>,
    /// MTU of the link.
    pub mtu: Option<u16>,
    /// Routes in addition to the default route.
    pub routes: Vec<Route>,
    /// How long a lease lasts.
    pub lease_time: SignedDuration,
    /// Reserved addresses by client.
    pub reservations: HashMap<MacAddr, Reservation>,
    /// The same, by address.
    pub reserved: HashMap<Ipv4Addr, MacAddr>,
}

/// What the clients of a subnet get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum Mode {
    /// Addresses, and boot files.
    #[default]
    Leases,
    /// Boot files only, as a `ProxyDHCP` server; another server assigns the addresses.
    Proxy,
}

/// The kind of object that is made for a BMC with an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum Record {
    /// An Endpoint, from which metal-operator makes a BMC.
    #[default]
    Endpoint,
    /// A BMC that contains the address itself.
    Bmc,
}

/// Limits on recording new BMCs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewBmcLimits {
    /// New BMCs per minute in one subnet; also the size of a burst.
    pub per_minute: u32,
    /// How many recorded BMCs in all may not have answered yet.
    pub unanswered: usize,
}

impl Default for NewBmcLimits {
    fn default() -> Self {
        Self { per_minute: 120, unanswered: 256 }
    }
}

/// An address for one client only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The address.
    pub ip: Ipv4Addr,
    /// The host name sent to the client.
    pub hostname: Option<String>,
}

impl Config {
    /// Whether a client with this address is answered at all. A client without one is not if there
    /// is any list, because it cannot be matched against it.
    pub fn admits(&self, mac: Option<MacAddr>) -> bool {
        let Some(mac) = mac else { return self.allow.is_empty() && self.deny.is_empty() };
        let listed = |list: &[MacPrefix]| list.iter().any(|prefix| prefix.matches(mac));
        (self.allow.is_empty() || listed(&self.allow)) && !listed(&self.deny)
    }

    /// What a switch with this address loads first.
    pub(crate) fn ztp_of(&self, mac: MacAddr) -> Option<&str> {
        let matching = self.ztp.iter().filter(|ztp| ztp.mac.matches(mac));
        matching.max_by_key(|ztp| ztp.mac.digits()).map(|ztp| ztp.url.as_str())
    }

    /// Whether there is a subnet with a `ProxyDHCP` server.
    pub fn has_proxy(&self) -> bool {
        self.subnets.iter().any(|subnet| subnet.mode == Mode::Proxy)
    }

    /// The subnet that contains an address.
    pub fn subnet_of(&self, address: Ipv4Addr) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| subnet.net.contains(&address))
    }

    /// The subnets of these addresses, in the order of the configuration.
    pub fn subnets_on<'a>(&'a self, link: &[Ipv4Addr]) -> impl Iterator<Item = &'a Subnet> {
        let is_here = |subnet: &&Subnet| link.iter().any(|own| subnet.net.contains(own));
        self.subnets.iter().filter(is_here)
    }

    /// How well an address, of either IP version, is known from the configuration alone.
    pub fn priority_of(&self, address: IpAddr) -> Priority {
        let is_ours = match address.to_canonical() {
            IpAddr::V4(address) => self.subnet_of(address).is_some(),
            IpAddr::V6(address) => {
                let v6 = self.dhcp6.as_ref();
                v6.is_some_and(|v6| v6.subnet_of(address).is_some())
            }
        };
        if is_ours { Priority::Local } else { Priority::Unknown }
    }

    /// Whether the configuration names a relay with this address.
    pub fn names_relay(&self, address: Ipv4Addr) -> bool {
        let of_subnets = self.subnets.iter().flat_map(|subnet| &subnet.relays);
        self.relays.iter().chain(of_subnets).any(|relay| *relay == address)
    }

    /// Whether an address is reserved for a client, in any subnet.
    pub fn has_reserved(&self, client: &Client) -> bool {
        self.subnets.iter().any(|subnet| subnet.reservation(client).is_some())
    }

    /// The subnet that a relay acts for.
    pub(crate) fn subnet_behind(&self, relay: Ipv4Addr) -> Option<&Subnet> {
        let named = self.subnets.iter().find(|subnet| subnet.relays.contains(&relay));
        named.or_else(|| self.subnet_of(relay))
    }
}

impl LeaseSubnet<Ipv4Addr> for Subnet {
    fn addresses(&self) -> RangeInclusive<Ipv4Addr> {
        self.net.network()..=self.net.broadcast()
    }

    fn ranges(&self) -> &[RangeInclusive<Ipv4Addr>] {
        &self.ranges
    }

    fn is_in_pool(&self, address: Ipv4Addr) -> bool {
        let in_range = self.ranges.iter().any(|range| range.contains(&address));
        in_range && !self.is_reserved(address) && self.router != Some(address)
    }
}

impl Subnet {
    /// Whether an address is reserved for one client.
    pub(crate) fn is_reserved(&self, address: Ipv4Addr) -> bool {
        self.reserved.contains_key(&address)
    }

    /// The reservation of a client.
    pub(crate) fn reservation(&self, client: &Client) -> Option<&Reservation> {
        self.reservations.get(&client.mac()?)
    }
}
