//! Which server a [`ServerClaim`] gets.
//!
//! ```text
//!   no server ──pick──► Server.spec.serverClaimRef ──► claim.spec.serverRef ──► Server Reserved
//!      ▲                    (compare and swap)                                       │
//!      └── why not: condition Scheduled, counted by reason                           ▼
//!                             Bound ◄── Server.spec.bootConfigurationRef ◄── boot configuration
//! ```
//!
//! The binding is the single field `Server.spec.serverClaimRef`: it names the claim by UID, is
//! written to the very version of the server that was judged, and is judged again in every pass.

mod binding;
mod decide;
mod pick;
#[cfg(test)]
mod tests;

pub use binding::{Binding, binding, misses};
pub use decide::{decide, is_told};
pub use pick::{Mismatch, fits, free, pick};

use jiff::Timestamp;
use metal_api::{Server, ServerBootConfiguration, ServerClaim, ServerClaimStatus};
use std::sync::Arc;

/// Everything one decision depends on.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    /// The object, from the cache; it may be stale.
    pub claim: &'a ServerClaim,
    /// All servers that this claim holds ([`binding`]).
    pub holders: &'a [Arc<Server>],
    /// The servers to choose from: the one that the claim names, or all free ones.
    pub candidates: &'a [Arc<Server>],
    /// Why the server that it names, or any, is not among them.
    pub withheld: Option<Withheld>,
    /// The boot configuration named like the claim.
    pub configuration: Option<&'a ServerBootConfiguration>,
    /// The failure of the last pass, if it failed.
    pub failure: Option<&'a crate::failure::Failure>,
    /// Time of the observation.
    pub now: Timestamp,
}

/// Why a server that exists is not to be chosen, whatever is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withheld {
    /// Another claim has it, although it does not refer to that claim at the moment ([`misses`]).
    OfAnother,
    /// It cannot be parsed.
    Unreadable,
}

/// What one pass is to do.
pub type Decision = metal_base::Decision<ServerClaimStatus, Change>;

/// One write to the cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Add our finalizer.
    AddFinalizer,
    /// Write this claim into `Server.spec.serverClaimRef` of this server, if the server is
    /// unchanged.
    Bind(Arc<Server>),
    /// Remove this claim from `Server.spec.serverClaimRef` of this server, if the server is
    /// unchanged.
    LetGo(Arc<Server>),
    /// Write the name of its server into `spec.serverRef` of the claim.
    ReferTo(String),
    /// Create the boot configuration, or update it.
    Configure(String),
    /// Write the boot configuration into `Server.spec.bootConfigurationRef` of this server.
    Boot(Arc<Server>),
    /// The claim is being deleted: delete its boot configuration, then remove our finalizer. The
    /// server observes that the claim is gone.
    Release,
}
