//! What every binary needs and no domain owns. It is in the agent, which travels in every discovery
//! image, so that it is small and knows neither Kubernetes nor tokio.

#[cfg(feature = "tls")]
pub mod authorities;
pub mod backoff;
mod chain;
pub mod duration;
pub mod jitter;
mod nearness;

pub use backoff::Backoff;
pub use chain::Chain;
pub use jitter::jittered;
pub use nearness::Nearness;
