//! The TFTP server: sockets, files and threads around [`metal_dhcp::tftp`].
//!
//! ```text
//!                               ┌► handshake: OACK or first block ──first ACK─► thread: file ◄─► client
//! socket at each ─► queue ─► request
//! address                       └► refusal, an ERROR
//! ```
//!
//! A request may come from anybody, with a forged sender. Until the client has answered, the
//! request is a handshake: an open file and a socket, which a single thread watches for all
//! handshakes, and which the oldest handshake loses if there are too many. Its port is random, so
//! only a client that receives the first packet can answer it.
//!
//! [`Files`] determines which file a request gets. If there are more requests than can be answered,
//! those of machines with an address from us come first, and of the others each source gets a turn.
//!
//! A transfer is a thread that sends, and waits for its client: two system calls for each window.
//! There are at most `BOUNDS` of them, each with a stack and a chunk of its file, and every wait
//! has a deadline. A slow disk delays only its own transfer. A client that is too slow loses its
//! transfer, and if there are too many, the slowest one of the source with the most makes room.

mod file;
mod files;
mod handshake;
mod handshaker;
mod listener;
mod log;
mod metrics;
mod queue;
mod request;
mod serve;
mod server;
mod socket;
#[cfg(test)]
mod tests;
mod transfer;

pub use files::{Files, Found};
pub use metrics::Metrics;
pub use serve::{Addresses, Error, Parts, serve};

use metal_dhcp::tftp::Bounds;

/// Limits on requests and transfers. A transfer takes at most some 100 KiB, a request that is not
/// answered yet some 4 KiB.
const BOUNDS: Bounds = Bounds { transfers: 512, per_address: 16, per_source: 256, unproven: 1024 };
/// Files and sockets of all of them, and some for the rest of the process.
const FILES: u64 = 2 * (512 + 1024) + 512;
