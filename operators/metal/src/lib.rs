//! Controllers of `metal.ironcore.dev`, and the registry that receives reports.

pub mod args;
mod bmc;
mod bmc_connection;
mod bmc_destination;
mod bmc_permit;
mod bmc_readings;
mod bmc_servers;
mod bmc_target;
mod bmc_users;
mod claim;
mod context;
mod discovery_login;
mod endpoint;
mod error;
mod foreign_cleanup;
mod macdb;
mod media;
mod memory;
mod metalman_machines;
mod metrics;
mod notices;
mod owned_objects;
#[cfg(test)]
mod reference_page;
mod registry;
mod run;
mod server;
mod server_patch;
mod startup;
mod step_in_progress;
mod unreadable;
mod view;
mod wakes;
mod wiring;

pub use run::run;

use context::{Context, DiscoveryBoot, Unreadable};
use error::Error;

use metal_core::failure::Failure;
use metal_runtime::report;

/// The last failure of a key, as decisions see it.
fn failure(failure: Option<&report::Failure>) -> Option<Failure> {
    let repeated = failure?.is_repeated();
    let report::Failure { reason, text, .. } = failure?.clone();
    Some(Failure { reason, text, repeated })
}

/// Field manager of everything this operator applies.
const MANAGER: &str = "metal-operator";
