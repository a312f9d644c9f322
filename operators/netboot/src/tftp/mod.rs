//! The TFTP server: sockets, files and threads around [`metal_core::tftp`].
//!
//! ```text
//!                      ┌► thread: file ─► socket of its own ◄─► client
//! socket at each ─► request
//! address              └► refusal, an ERROR
//! ```
//!
//! A transfer is a thread that sends, and waits for its client: two calls of the kernel for each
//! window. There are at most `BOUNDS` of them, each with a stack and a piece of its file; what
//! they wait for, they wait for with a deadline. A slow disk holds up its own transfer only.

mod file;
mod listener;
mod metrics;
mod serve;
mod server;
mod socket;
#[cfg(test)]
mod tests;
mod transfer;

pub use metrics::Metrics;
pub use serve::{Error, Parts, serve};

use metal_core::tftp::Bounds;

/// How many transfers there may be at a time. Each takes some 100 KiB at most.
const BOUNDS: Bounds = Bounds { transfers: 512, per_source: 16 };
