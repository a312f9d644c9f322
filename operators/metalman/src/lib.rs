//! Provisioning of machines that join a cluster: boots and installs them over the network.
//!
//! [`machine`] is the controller that updates the status of a `Machine`, and reboots and installs
//! it through its BMC ([`operations`]); only the replica that leads runs it, and approves the
//! certificates of machines. Every replica answers machines: by DHCP with their addresses, and by
//! [`http`], where [`attest`] gives a machine the token with which it joins, if its TPM is the one
//! that was seen first.

mod answered_challenges;
pub mod args;
pub mod attest;
mod certificates;
mod cluster;
mod confirm;
mod context;
mod dhcp;
mod ek_roots;
mod error;
#[cfg(test)]
mod fixture;
pub mod http;
pub mod image_files;
pub mod images;
mod listeners;
mod live_machines;
pub mod machine;
mod metal_servers;
mod metrics;
pub mod operations;
mod pem;
mod progress_limit;
pub mod pull;
#[cfg(test)]
mod reference;
mod run;
mod serve_url;
mod startup;
mod status_writes;
mod tftp;
mod time_limits;
mod tokens;
mod user_data;
pub mod view;

pub use context::Context;
pub use error::Error;
pub use run::run;

/// What this program calls itself.
const NAME: &str = "metalman";
