//! Prepares what servers boot, and serves it to them.
//!
//! Two controllers write: `configuration` makes boot configs of `ServerBootConfiguration`s, and
//! `config` says whether a boot config is usable. Two listeners read: `http` answers machines
//! from what the watches have brought, on every replica, and asks the API server for nothing but
//! a Secret that it has not seen for a while.

pub mod args;
mod config;
mod configuration;
mod context;
mod error;
mod fetch_limit;
mod fetches;
mod http;
mod https;
mod kept;
mod leases;
mod live;
mod medium;
mod metrics;
#[cfg(test)]
mod reference;
mod run;
mod secret_watch;
mod secrets;
#[cfg(test)]
mod testing;
mod tls;
mod view;
mod wakes;
mod windows;
mod wiring;

pub use run::run;

use error::Error;
