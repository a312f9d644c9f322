//! Prepares what servers boot, and serves it to them.
//!
//! Two controllers write: [`configuration`] makes boot configs of `ServerBootConfiguration`s, and
//! [`config`] says whether a boot config is usable. Two listeners read: [`http`] answers machines
//! from what the watches have brought, on every replica, and asks the API server for nothing but
//! a Secret that it has not seen for a while.

pub mod args;
pub mod config;
pub mod configuration;
mod context;
mod error;
pub mod fetch_limit;
pub mod fetches;
pub mod http;
mod https;
pub mod kept;
pub mod leases;
pub mod live;
mod medium;
mod metrics;
#[cfg(test)]
mod reference;
mod run;
pub mod secrets;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod view;
pub mod windows;
mod wiring;

pub use context::{ConfigRef, Context, HTTP_MANAGER, Kind, MANAGER, Named};
pub use error::Error;
pub use metal_runtime::work::{Next, Work};
pub use run::run;
