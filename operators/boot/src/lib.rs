//! Prepares what servers boot, and serves it to them.
//!
//! Two controllers write: `configuration` makes boot configs from `ServerBootConfiguration`s, and
//! `config` keeps the status of boot configs. The listeners only read: `http` answers machines on
//! every replica from what the watches have delivered, and asks the API server for nothing but
//! Secrets that it has not read for a while.

pub mod args;
mod blob_refs;
mod boot_secret;
mod config;
mod config_ref;
mod configuration;
mod context;
mod error;
mod fetch_limit;
mod fetches;
mod http;
mod leases;
mod medium;
mod metrics;
mod notices;
mod pull_secret;
#[cfg(test)]
mod reference_page;
mod run;
mod secret_watch;
mod secrets;
mod served;
mod stored_boots;
#[cfg(test)]
mod testing;
mod view;
mod wakes;
mod windows;
mod wiring;

pub use run::run;

use error::Error;
