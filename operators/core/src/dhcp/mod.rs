//! The DHCPv4 server as a function: a packet, the leases and the time go in, an answer and the
//! leases to record come out (RFC 2131, RFC 2132, RFC 3046).
//!
//! ```text
//!            DISCOVER                    REQUEST                         time, RELEASE
//!  (no lease) ───────► Offered (memory) ────────► Bound (recorded, then ACK) ───────► free, but
//!                         │ not taken                │ DECLINE                         kept for
//!                         ▼                          ▼                                 its client
//!                        free                     Declined (quarantine) ──time──► free
//! ```
//!
//! [`decide`] never changes anything. Its caller applies [`Decision::changes`] to [`Leases`],
//! writes the durable ones down ([`record`]) and only then sends the answer, so that a client
//! never holds an address that a crash can make us forget.
//!
//! Sockets, files and the clock are the business of `netboot`; who is a BMC is told by the caller.

pub(crate) mod architecture;
mod boot;
pub(crate) mod booting;
pub(crate) mod claim;
pub(crate) mod client;
pub(crate) mod config;
mod decide;
pub mod endpoint;
pub mod inline;
pub(crate) mod lease;
pub mod lease_object;
pub mod newcomers;
mod option;
pub(crate) mod origin;
pub(crate) mod pool;
pub mod record;
mod reply;
mod sighting;
mod wire;

#[cfg(test)]
mod tests;

pub use architecture::Architecture;
pub use boot::{BootFiles, MAX_URL, TftpFile};
pub use booting::{identity, machine_id, uncarried, unserved};
pub use client::{Client, MessageType};
pub use config::{
    BmcSubnets, Config, ConfigError, Gap, Instances, Mode, Part, Record, Reservation, Route,
    Sharing, Subnet, Tftp, Ztp, schema,
};
pub use decide::{Arrival, Decision, Server, Silence, decide};
pub use lease::{Count, Lease, Leases, State};
pub use option::{Options, code};
pub use pool::Address;
pub use reply::Reply;
pub use sighting::Sighting;
pub use wire::{Malformed, Packet};

/// Port that servers and relays listen on.
pub const SERVER_PORT: u16 = 67;
/// Port at which PXE clients ask the boot server of a `ProxyDHCP` answer (PXE 2.1).
pub const BOOT_SERVER_PORT: u16 = 4011;
/// Port that clients listen on.
pub const CLIENT_PORT: u16 = 68;
