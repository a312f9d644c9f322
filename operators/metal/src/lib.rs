//! Controllers of `metal.ironcore.dev`, and the registry that machines report to.

pub mod args;
pub mod bmc;
pub mod claim;
pub mod context;
pub mod endpoint;
mod error;
pub mod inherited;
pub mod keys;
pub mod macdb;
mod media;
pub mod metrics;
pub mod notices;
mod own;
#[cfg(test)]
mod reference;
pub mod registry;
mod run;
pub mod server;
pub mod startup;
pub mod view;
mod wakes;
pub mod wiring;

pub use context::{Context, DiscoveryBoot, Unreadable};
pub use error::Error;
pub use macdb::MacPrefixes;
pub use run::run;
pub use view::View;

use metal_core::server::Failure;
use metal_runtime::report;

/// The last failure of a key, as a decision sees it.
fn failure(failure: Option<&report::Failure>) -> Option<Failure> {
    let repeated = failure?.is_repeated();
    let report::Failure { reason, text, .. } = failure?.clone();
    Some(Failure { reason, text, repeated })
}

/// Field manager of everything this operator applies.
pub const MANAGER: &str = "metal-operator";
