//! The DHCPv6 server as a function: a packet, the leases and the time go in, an answer and the
//! leases to record come out (RFC 9915).
//!
//! ```text
//!            SOLICIT                    REQUEST                        time, RELEASE
//!  (no lease) ──────► Offered (memory) ───────► Bound (recorded, then REPLY) ──────► free, but
//!                        │ not taken               │ DECLINE                         kept for
//!                        ▼                         ▼                                 its client
//!                       free                    Declined (quarantine) ──time──► free
//! ```
//!
//! Leases, their states and their log are those of [`crate::v4`], and so is the order of events:
//! [`decide`] changes nothing; its caller applies [`Decision::changes`], records the durable ones,
//! and only then sends the answer.
//!
//! A client has one address per subnet, however many IAs it has: if a message has several, one of
//! them gets an address. Prefixes are not delegated.

mod boot;
mod boot_kind;
mod client;
mod decide;
mod ia;
mod lease;
mod reply;
mod request;

#[cfg(test)]
mod tests;

pub use boot_kind::{identity, unserved};
pub use client::{clients, mac};
pub use decide::{Decision, decide};
pub use lease::{leases, reconfigure};
pub use metal_wire::v6::{MessageType, Options, Packet, PacketError, Relay, code};
pub use reply::Reply;
pub use request::{Arrival, DropReason, Server, link_of};

/// Port that servers and relays listen on.
pub const SERVER_PORT: u16 = crate::port::DHCPV6_SERVER;
/// Port that clients listen on.
pub const CLIENT_PORT: u16 = 546;
/// `All_DHCP_Relay_Agents_and_Servers`, which clients send to.
pub const SERVERS: std::net::Ipv6Addr = std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
/// `All_DHCP_Servers`, which relays may send to.
pub const SITE_SERVERS: std::net::Ipv6Addr = std::net::Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 1, 3);
