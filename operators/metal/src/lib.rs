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
use metal_runtime::work::Work;
use std::hash::Hash;

/// The last failure of a key, as a decision sees it.
fn failure<Key>(work: &Work<Key>, key: &Key) -> Option<Failure>
where
    Key: Clone + Eq + Hash + Ord + Send + Sync + 'static,
{
    let failure = work.failure(key)?;
    let repeated = failure.is_repeated();
    Some(Failure { reason: failure.reason, text: failure.text, repeated })
}

/// Field manager of everything this operator applies.
pub const MANAGER: &str = "metal-operator";
