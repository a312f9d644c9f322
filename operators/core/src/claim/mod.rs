//! Which server a [`ServerClaim`] gets.
//!
//! ```text
//!   no server ──pick──► Server.spec.serverClaimRef ──► claim.spec.serverRef ──► Server Reserved
//!      ▲                    (compare and swap)                                       │
//!      └── why not: condition Scheduled, counted by reason                           ▼
//!                             Bound ◄── Server.spec.bootConfigurationRef ◄── boot configuration
//! ```
//!
//! The binding is the one field `Server.spec.serverClaimRef`: it names the claim by UID, it is
//! written on the version of the server that was judged, and every pass judges it again.

mod binding;
mod decide;
mod pick;
#[cfg(test)]
mod tests;

pub use binding::{Binding, binding, misses};
pub use decide::decide;
pub(crate) use decide::is_current;
pub use pick::{Unfit, fits, free, pick};

use jiff::Timestamp;
use metal_api::{Server, ServerBootConfiguration, ServerClaim, ServerClaimStatus};
use std::sync::Arc;

/// Everything one decision depends on.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    /// The object, from the cache; it may be stale.
    pub claim: &'a ServerClaim,
    /// Every server that this claim holds ([`binding`]).
    pub holders: &'a [Arc<Server>],
    /// The servers that may be picked: the one that the claim names, or those that are free.
    pub candidates: &'a [Arc<Server>],
    /// The boot configuration named like the claim.
    pub configuration: Option<&'a ServerBootConfiguration>,
    /// How the last pass failed, if it did.
    pub failure: Option<&'a crate::server::Failure>,
    /// When this was observed.
    pub now: Timestamp,
}

/// What one pass is to do.
pub type Decision = metal_base::Decision<ServerClaimStatus, Change>;

/// One write to the cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Add our finalizer.
    AddFinalizer,
    /// Write this claim into `Server.spec.serverClaimRef` of this server, if it is still the same.
    Bind(Arc<Server>),
    /// Take this claim from `Server.spec.serverClaimRef` of this server, if it is still the same.
    LetGo(Arc<Server>),
    /// Write the name of its server into `spec.serverRef` of the claim.
    ReferTo(String),
    /// Make the boot configuration, or bring it up to date.
    Configure(String),
    /// Write the boot configuration into `Server.spec.bootConfigurationRef` of this server.
    Boot(Arc<Server>),
    /// It is being deleted: delete its boot configuration, then take our finalizer away. The server
    /// sees that it is gone.
    Release,
}
