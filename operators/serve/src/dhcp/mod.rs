//! What DHCP servers have beside their decisions: sockets and the loop over them, frames, questions
//! whether an address is in use, metrics.
//!
//! ```text
//! sockets ─► fair queue ─► Responder::decide ─► commit ─► answers ─► sockets
//!               │               └► held back: released later ──┘
//!               └► too many: dropped
//! ```

mod frame;
pub mod link;
mod log_once;
mod metrics;
mod missing_boot_files;
pub mod prober;
mod server;
mod sockets;
#[cfg(test)]
mod tests;
mod unknown_relays;

pub use log_once::LogOnce;
pub use metrics::{Metrics, Protocol};
pub use missing_boot_files::UnservedArchitectures;
pub use server::{Answer, Error, Responder, Server, serve};
pub use sockets::{Request, Sockets};
pub use unknown_relays::UnknownRelays;
