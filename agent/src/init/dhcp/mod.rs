//! A DHCPv4 client (RFC 2131), for one link each.
//!
//! ```text
//!  DISCOVER ──OFFER──► REQUEST ──ACK──► bound ──T1──► REQUEST to the server ──ACK──► bound
//!     ▲                   │ NAK           ▲                 │ no answer, NAK
//!     └───────────────────┴───────────────┼─────────────────┘ until the lease has ended
//! ```
//!
//! A machine that needs a boot URL, and is bound without one, asks for it with INFORM.

mod assigned;
mod client;
mod frames;
mod lease;
mod packet;
mod routes;

pub(super) use client::{BootUrlRequest, keep};
pub(super) use packet::Firmware;

#[cfg(test)]
mod tests;
