//! Lifecycle of a [`Server`].
//!
//! ```text
//!            facts known          report in, host off            claimed
//!  Initial -------------> Discovery --------------> Available ----------> Reserved
//!     ^                       |                      ^     ^                |   | claim gone,
//!     +-----------------------+                      |     +----------------+   | host off
//!       timeout, at most N times, then Error         |       Recycle            v Retain
//!                                                    +----------------------- Released
//!                                                       serverClaimRef cleared
//! ```
//!
//! A server with a claim is `Reserved` from every state: losing the status never harms a tenant.
//!
//! Three rules keep every pass safe to repeat and safe to interrupt:
//!
//! 1. *Look first.* A decision says how fresh its facts must be ([`Decision::Look`]); it changes a
//!    machine only on facts a few seconds old.
//! 2. *Record, then act.* A pass writes the status, or the cluster, or the machine, never two of
//!    them, and it changes the machine only if the recorded status already says so.
//! 3. *Read back.* Progress is judged by what the BMC reports, not by which calls returned.

mod attempt;
mod available;
mod boot;
mod bound_claim;
mod claimed;
mod decide;
mod departure;
mod discovery;
mod first_look;
mod future;
mod last_step;
pub mod machines;
mod media;
mod power;
mod repetition;
mod reserved;
mod status;
mod steps_without_effect;
#[cfg(test)]
mod tests;
mod turn;
pub mod twins;
mod window;

pub(crate) use bound_claim::{Seen, bound_to, seen_here};
pub use decide::decide;
pub use departure::{Departure, decide_in_any_case, departure};
pub use last_step::{Done, LastStep, OverrideState};
pub use media::{MediaReading, medium_of};
pub use power::{CERTAIN, was_on};
pub(crate) use reserved::is_parked;
pub(crate) use status::{configuration_state, is_current, name_taken};

use crate::{
    bmc::CredentialAnnotations,
    failure::Failure,
    redfish::{ImageUrl, Inventory, Step, SystemReading, Unreachable},
    report::InventorySummary,
};
use jiff::{SignedDuration, Timestamp};
use metal_api::{
    NetworkInterface, Server, ServerBootConfiguration, ServerClaim, ServerStatus, SystemUuid,
};

/// Everything one decision depends on.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    /// The object, from the cache; it may be stale.
    pub server: &'a Server,
    /// How to reach the BMC, or what is missing.
    pub access: Result<(), &'a str>,
    /// The certificate that the BMC in `spec.bmc` has presented, as `sha256:` and 64 hexadecimal
    /// digits, unless an authority vouches for it.
    pub certificate: Option<&'a str>,
    /// What to record with the credentials in `spec.bmc` ([`crate::bmc::note_of_server`]).
    pub note: Option<&'a CredentialAnnotations>,
    /// Why the certificate is not stored with the credentials in `spec.bmc`
    /// ([`crate::bmc::unstored_of_server`]).
    pub unstored: Option<&'a str>,
    /// The last reading of the system, if there is one.
    pub system: Option<&'a Reading>,
    /// The last reading of the virtual media slots, if there is one.
    pub media: Option<&'a MediaReading>,
    /// The medium of [`medium_of`], if its URL is known.
    pub medium: Option<&'a ImageUrl>,
    /// The parts, if they have been read since this process started.
    pub inventory: Option<&'a Inventory>,
    /// Names of other servers with the same system UUID.
    pub twins: &'a [String],
    /// Names of Machines of metalman with a network interface, the UUID, or the BMC of this server.
    pub machines: &'a [String],
    /// The object that `spec.bootConfigurationRef` names.
    pub configuration: Option<&'a ServerBootConfiguration>,
    /// The state of the claim in `spec.serverClaimRef`.
    pub claim: ClaimSeen<'a>,
    /// A claim that has the server although `spec.serverClaimRef` is empty
    /// ([`crate::claim::misses`]).
    pub missed_by: Option<&'a ServerClaim>,
    /// What the host reported, without the report itself.
    pub report: Option<&'a InventorySummary>,
    /// The interfaces in that report ([`crate::report::interfaces`]), if it has been read for this
    /// pass.
    pub interfaces: Option<&'a [NetworkInterface]>,
    /// Whether this process has read the host as off, and certainly so. If not, a host that is on may have been
    /// powered on by what a restored backup does not know.
    pub was_off: bool,
    /// For how long the host has been read as off, if this process knows it as on before, and has
    /// not told it to go off.
    pub off_for: Option<SignedDuration>,
    /// The last thing that this process did to the server.
    pub last_step: Option<&'a LastStep>,
    /// When this process last recorded the status, if it did.
    pub recorded: Option<Timestamp>,
    /// The failure of the last pass, if it failed.
    pub failure: Option<&'a Failure>,
    /// When this process started.
    pub started: Timestamp,
    /// Time of the observation.
    pub now: Timestamp,
}

/// A reading of the system and its age.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// When it was requested: it may not include what happened since then.
    pub at: Timestamp,
    /// How long the answer took.
    pub took: SignedDuration,
    /// What the BMC reported, or why it did not answer.
    pub result: Result<SystemReading, Unreachable>,
}

impl Reading {
    /// When the answer arrived.
    pub fn answered(&self) -> Timestamp {
        self.at.checked_add(self.took).unwrap_or(self.at)
    }
}

/// The state of the claim that holds a server.
#[derive(Clone, Copy, Debug)]
pub enum ClaimSeen<'a> {
    /// `spec.serverClaimRef` is empty.
    Unclaimed,
    /// The claim exists, and holds the server ([`crate::claim::binding`]).
    Holds(&'a ServerClaim),
    /// It is not in the cache.
    NotCached,
    /// The API server, asked just now, has none that holds the server.
    Gone,
}

/// Settings of the operator.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Namespace of the discovery's boot configurations and secrets.
    pub namespace: String,
    /// How long a machine may fetch what it boots, counted from when its boot is recorded.
    pub boot_window: SignedDuration,
    /// How long a host may take from power-on to its report.
    pub discovery_timeout: SignedDuration,
    /// After how many consecutive failed attempts a server ends in `Error`.
    pub discovery_attempts: u32,
    /// How long an operating system may take to shut down before its power is cut, if that is
    /// allowed at all.
    pub shutdown_grace: SignedDuration,
    /// How soon to look again while the power state of a host changes.
    pub power_polling: SignedDuration,
    /// How soon to look again while nothing should change.
    pub resync: SignedDuration,
    /// Whether a host that is on when it is first seen may be powered off for its discovery.
    pub enforce_first_boot: bool,
    /// Whether the power of a host that ignores a shutdown may be cut.
    pub enforce_power_off: bool,
    /// Whether the URL of media that servers boot from is configured.
    pub virtual_media: bool,
}

/// What one pass is to do.
pub type Decision = metal_base::Decision<ServerStatus, Change, Need, Step>;

/// A fact that a decision needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The system, read now.
    System,
    /// The parts of the system.
    Inventory,
    /// The virtual media slots of the system, and the URL of its medium.
    Media,
    /// The claim, from the API server and not from the cache.
    Claim,
    /// The report of the host, from the API server.
    Report,
}

/// One idempotent write to the cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Add our finalizer.
    AddFinalizer,
    /// Remove our finalizer, which also gives up its secrets and its inventory.
    RemoveFinalizer,
    /// Set `spec.bootConfigurationRef` to the discovery's configuration.
    ReferToDiscovery,
    /// Create the discovery's secrets and boot configuration, except those that exist.
    PrepareDiscovery {
        /// Number of the attempt; keys are made once for each attempt.
        attempt: u32,
    },
    /// Clear `spec.bootConfigurationRef`; delete the configuration if it is the discovery's.
    DropConfiguration,
    /// Write `spec.systemUUID`, which is set only under its older name.
    SetSystemUuid {
        /// The UUID.
        uuid: SystemUuid,
    },
    /// Write `spec.systemURI`, found by the UUID.
    SetSystemUri {
        /// `@odata.id` of the system.
        uri: String,
    },
    /// Record with the credentials in `spec.bmc` the certificate of its BMC.
    Note(CredentialAnnotations),
    /// Remove the annotation by which a person accepted the certificate that is pinned now.
    SettleCertificate,
    /// Clear `spec.serverClaimRef`.
    ReleaseClaim,
    /// Write this UID into `spec.serverClaimRef`, because both objects were restored and the claim
    /// has a new one.
    AdoptClaim {
        /// UID of the claim.
        uid: String,
    },
    /// Remove the annotation `metal.ironcore.dev/operation`.
    DropOperation,
}

/// The server cannot be released yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("still bound to claim {namespace}/{name}: delete the claim first")]
pub struct StillClaimed {
    /// Namespace of the claim.
    pub namespace: String,
    /// Name of the claim.
    pub name: String,
}

/// Identity of one discovery boot: a registration token is bound to it, and a report counts only
/// with it. Each attempt has a new one.
pub fn boot_id(server: &Server, attempt: u32) -> String {
    format!("{}.{attempt}", server.metadata.uid.as_deref().unwrap_or_default())
}
