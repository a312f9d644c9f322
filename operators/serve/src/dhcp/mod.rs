//! What DHCP servers have beside their decisions: sockets, frames, questions whether an address is in
//! use, metrics.

mod frame;
pub mod link;
mod metrics;
pub mod prober;

pub use metrics::{Metrics, Protocol};
