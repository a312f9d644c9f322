//! Rented servers: a machine boots from one secret URL, is installed, and becomes a `Host`, which is
//! known by its key and is told which release to run.
//!
//! This is the only server that may face the Internet, so it has no rights but to its own kinds.
//! `http` answers machines on every replica from what the watches have delivered; it writes only
//! for somebody who has proved something. The controllers (`token`, `host`), on the replica that
//! leads, end what is over and finish what a crash has left half done.

mod allowance;
pub mod args;
mod clock;
mod context;
mod error;
mod fresh_tokens;
mod host;
mod http;
mod images;
mod memory_permits;
mod metrics;
mod notices;
mod polls;
mod ports;
mod pull_secret_looks;
mod pull_secrets;
#[cfg(test)]
mod reference_page;
mod refusals;
mod remembered;
mod run;
mod templates;
mod token;
mod view;

pub use run::run;

use error::Error;
