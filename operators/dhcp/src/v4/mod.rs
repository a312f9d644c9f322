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
//! [`decide`] never changes anything. Its caller applies [`Decision::changes`] to
//! [`Leases`](crate::lease::Leases), records the durable ones ([`record`](crate::lease::record))
//! and only then sends the answer, so that a client never holds an address that a crash can make us
//! forget.
//!
//! Sockets, files and the clock are left to `netboot`; the caller also knows which clients are
//! BMCs.

mod boot;
mod boot_kind;
mod client;
mod decide;
mod lease;
mod reply;
mod request;

#[cfg(test)]
mod tests;

pub use boot_kind::{identity, is_up, machine_id, uncarried, unserved};
pub use decide::{Decision, decide};
pub use metal_wire::v4::{MessageType, Options, Packet, PacketError, code, frame};
pub use reply::Reply;
pub use request::{Arrival, DropReason, Server};

/// Port that servers and relays listen on.
pub const SERVER_PORT: u16 = crate::port::DHCPV4_SERVER;
/// Port where PXE clients contact the boot server of a `ProxyDHCP` answer (PXE 2.1).
pub const BOOT_SERVER_PORT: u16 = 4011;
/// Port that clients listen on.
pub const CLIENT_PORT: u16 = 68;
