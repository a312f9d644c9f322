//! Provisioning of machines that join a cluster: boots and installs them over the network.
//!
//! `machine` is the controller that updates the status of a `Machine`, and reboots and installs
//! it through its BMC (`operations`); only the replica that leads runs it, and approves the
//! certificates of machines. Every replica answers machines: by DHCP with their addresses, and by
//! `http`, where `attest` gives a machine the token with which it joins, if its TPM is the one
//! that was seen first.

mod answered_challenges;
pub mod args;
mod attest;
mod certificates;
mod cluster;
mod confirm;
mod context;
mod dhcp;
mod ek_roots;
mod error;
#[cfg(test)]
mod fixture;
mod http;
mod image_files;
mod images;
mod listeners;
mod live_machines;
mod machine;
mod metal_servers;
mod metrics;
mod operations;
mod pem;
mod progress_limit;
mod pull;
#[cfg(test)]
mod reference_page;
mod run;
mod serve_url;
mod startup;
mod status_writes;
mod tftp;
mod time_limits;
mod tokens;
mod user_data;
mod view;

pub use run::run;

use context::Context;
use error::Error;

/// What this program calls itself.
const NAME: &str = "metalman";
