//! What both DHCP servers have.

mod metrics;

pub use metrics::{Metrics, Protocol};
