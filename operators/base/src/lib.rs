//! What all binaries need and no domain owns. The agent, which is part of every discovery image,
//! uses it as well, so it stays small, and depends on neither Kubernetes nor tokio.

#[cfg(feature = "tls")]
pub mod authorities;
pub mod backoff;
mod chain;
#[cfg(feature = "compression")]
pub mod compression;
mod cut;
mod decision;
pub mod der;
pub mod duration;
pub mod files;
mod hex;
mod host;
pub mod jitter;
mod locality;
mod locked;
mod source;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use backoff::Backoff;
pub use chain::Chain;
pub use cut::cut;
pub use decision::{Decision, Never};
pub use hex::hex;
pub use host::{base_url, host};
pub use jitter::jittered;
pub use locality::Nearness;
pub use locked::{Locked, RwLocked};
pub use source::Source;
