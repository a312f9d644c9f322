//! Reboots and installations of a Machine, which are requested by increasing a counter.
//!
//! ```text
//!            a counter above what was done, or given up
//! nothing ─────────────────────────────► Draining ──no pods, or long enough──► PoweringOff
//!    ▲                                                                          │ ▲
//!    │                                             reads Off; its Node is gone  ▼ │ not in time:
//!    │◄──────── reads On: rebooted ───────────────────────────────── PoweringOn ──┤ the next attempt
//!    │                                                                   │        │
//!    │                                     reads On, and is to install   ▼        │
//!    └────── Finishing ◄──── the installer says that it is done ──── Installing ──┤
//!                                                                                 ▼
//!                                    Failed, until a counter is raised again ◄── attempts are used up
//! ```
//!
//! Each step is recorded before it is executed, and its effect is read back from the BMC. Time
//! limits are measured by a clock that nobody sets, from the request, by the process that sent it; a process
//! that starts in between repeats the request. The limit of the installer, which involves no request, is
//! measured from when the process has first seen it run. An installer that reports [progress](reported) has as
//! long again from there, up to a limit for the whole installation.
//!
//! A machine can boot the installer only while [`installs`] allows it: not before its host was off,
//! not after the installer has reported that it is done, and not after the installation has failed.

mod bmc;
mod by_hand;
mod certificate;
mod clocks;
mod confirm;
mod drain;
mod events;
mod evictions;
mod identity;
mod image;
mod install;
mod limits;
mod lockout;
mod memory;
mod own_node;
mod pending;
mod power;
mod progress;
mod report;
mod shared;
mod start;
mod step;

pub use bmc::{Certificate, ReadError, Reading, destination};
pub use by_hand::{may_end, may_report};
pub use certificate::{from_pairs, to_pairs};
pub use clocks::Clocks;
pub use confirm::{StaleCache, confirmed};
pub use drain::{is_cordoned_by_us, is_to_be_evicted};
pub use events::{News, news};
pub use evictions::{EvictionRound, Evictions};
pub use install::{Callback, installed};
pub use limits::Limits;
pub use lockout::refused_for;
pub use memory::{Memory, Outcome};
pub use own_node::{Ownership, is_node_of, ownership};
pub use pending::{Pending, installs, pending};
pub use progress::{is_heard, reported};
pub use shared::{Hardware, hardware, shares_system};

use super::Observation;
use jiff::SignedDuration;
use metal_api::{MachineOperationStep, MachineStatus, annotation};
use metal_core::redfish::Step;

pub(super) use own_node::is_older_than;
pub(super) use report::{ReportedPhase, is_adopted, record, state};
pub(super) use start::adopt;

/// How many times an operation is attempted.
pub const ATTEMPTS: i32 = 3;
/// Time limit for evicting pods, from the first eviction.
pub const DRAIN: SignedDuration = SignedDuration::from_mins(5);
/// Time limit for a graceful shutdown, from its request.
pub const GRACE: SignedDuration = SignedDuration::from_mins(2);
/// Time limit for a forced power-off, and for a power-on.
pub const POWER: SignedDuration = SignedDuration::from_mins(5);
/// Time limit for an installer without progress, from when the host was seen on.
pub const INSTALL: SignedDuration = SignedDuration::from_mins(30);
/// Time limit for an installer with progress, from when the host was seen on.
pub const INSTALL_IN_ALL: SignedDuration = SignedDuration::from_hours(4);
/// After this time without progress, by both [`Clocks`], a step is given up: what recorded it may be a
/// backup.
pub const OUTDATED: SignedDuration = SignedDuration::from_hours(6);
/// For how long after counting began a counter that rises by several is one of a backup.
pub const ADOPTION: SignedDuration = SignedDuration::from_mins(10);
/// Polling interval while the power state changes.
const POLL: SignedDuration = SignedDuration::from_secs(2);
/// Retry interval for a BMC without a usable response.
const SILENT: SignedDuration = SignedDuration::from_secs(15);
/// Time limit for resetting the boot source.
const TIDY: SignedDuration = SignedDuration::from_mins(5);
/// After this many refused requests in a row, an attempt has failed.
const REFUSALS: u32 = 3;

/// Annotation of a Node: the UID of the Machine for which it is cordoned.
pub const CORDONED_FOR: &str = annotation::CORDONED_FOR;

/// What is known in addition to the objects.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// The last reading of the BMC, and its age.
    pub reading: Option<(SignedDuration, &'a Reading)>,
    /// The certificate of the BMC, if it was read in this pass.
    pub certificate: Option<&'a Certificate>,
    /// How many pods have to be evicted, if they were counted in this pass.
    pub pods: Option<usize>,
    /// Which pods the last round of evictions has left.
    pub left: &'a [String],
    /// What this process has done for the recorded step.
    pub done: Done,
    /// Names of other Machines with the same system of the same BMC.
    pub sharing: &'a [String],
    /// Whether the machine waits for its first certificate.
    pub asks: bool,
    /// Whether this process has no image that could be installed to it.
    pub lacks_image: bool,
    /// Name of the Node that this process runs on, if it knows.
    pub runs_on: Option<&'a str>,
    /// Whether plain HTTP is allowed for BMCs.
    pub plain_http: bool,
    /// Time limits of an attempt.
    pub limits: Limits,
}

/// What this process has done for the current step of the current attempt, as the time since then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Since it has first seen the step.
    pub here: Option<SignedDuration>,
    /// Since its installer was seen to make progress.
    pub progressed: Option<SignedDuration>,
    /// Since the first eviction.
    pub draining: Option<SignedDuration>,
    /// Since the BMC first accepted a shutdown.
    pub asked: Option<SignedDuration>,
    /// Since the BMC first accepted a forced power-off.
    pub forced: Option<SignedDuration>,
    /// Since the BMC first accepted a power-on.
    pub on: Option<SignedDuration>,
    /// Since the host was first read in the state `PoweringOn` or `PoweringOff` that it is in now.
    pub changing: Option<SignedDuration>,
    /// Since a shutdown was first sent, whatever the response.
    pub asked_first: Option<SignedDuration>,
    /// Since a forced power-off was first sent.
    pub forced_first: Option<SignedDuration>,
    /// Since a power-on was first sent.
    pub on_first: Option<SignedDuration>,
    /// Since the last request, accepted or not.
    pub last: Option<SignedDuration>,
    /// How many times setting the boot source was attempted.
    pub arms: u32,
    /// The outcome of the last attempt.
    pub armed: Option<Outcome>,
    /// How many consecutive requests the BMC has refused.
    pub refusals: u32,
}

/// A fact that a decision needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The certificate of the BMC; reading it needs no password.
    Certificate,
    /// The system, now.
    System,
    /// How many pods have to be evicted.
    Pods,
}

/// A write to an object other than the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Cordons the Node.
    Cordon,
    /// Evicts pods of the Node.
    Evict,
    /// Deletes the Node of a system that will be overwritten.
    DeleteNode,
    /// Uncordons the Node.
    Uncordon,
    /// Removes an annotation that has been applied.
    Settle {
        /// Its key.
        annotation: &'static str,
    },
}

/// What a pass should do about operations.
pub(super) type Decision = super::Decision;

/// Advances the operations of a Machine: changes their status, or returns what to do once that is
/// recorded.
pub(super) fn advance(new: &mut MachineStatus, seen: &Observation<'_>) -> Option<Decision> {
    start::expire(new, seen);
    let Some(redfish) = seen.machine.spec.pxe.as_ref().and_then(|pxe| pxe.redfish.as_ref()) else {
        start::without_bmc(new);
        install::by_hand(new, seen);
        return drain::uncordon(seen);
    };
    if let Some(operations) = &mut new.operations {
        operations.by_hand = None;
    }
    if let Some(decision) = bmc::pin(new, seen, redfish) {
        return at_rest(new, seen).or(Some(decision));
    }
    start::take_back(new);
    start::begin(new, seen);
    let current = new.operations.as_ref().and_then(|it| it.current.as_ref());
    let Some(step) = current.map(|current| current.step.clone()) else {
        return drain::uncordon(seen).or_else(|| bmc::look(new, seen, redfish));
    };
    match step {
        MachineOperationStep::Draining => drain::drain(new, seen),
        MachineOperationStep::PoweringOff => power::off(new, seen),
        MachineOperationStep::PoweringOn => power::on(new, seen),
        MachineOperationStep::Installing => install::wait(new, seen),
        MachineOperationStep::Finishing => install::finish(new, seen),
        MachineOperationStep::Failed if install::accept(new, seen) => install::finish(new, seen),
        MachineOperationStep::Failed => power::tidy(new, seen).or_else(|| drain::uncordon(seen)),
        // Recorded by a newer version, which has to continue it.
        MachineOperationStep::Other(_) => None,
    }
}

/// Nothing more is done to the machine: its Machine is being deleted, or managed by another controller.
pub(super) fn leave(new: &mut MachineStatus, seen: &Observation<'_>) -> Option<Decision> {
    start::drop_current(new);
    report::is_on(new);
    drain::uncordon(seen)
}

/// What has to be undone if no operation is in progress, whatever else is wrong.
pub(super) fn at_rest(new: &MachineStatus, seen: &Observation<'_>) -> Option<Decision> {
    let current = new.operations.as_ref().and_then(|it| it.current.as_ref());
    let is_at_rest = current.is_none_or(|it| it.step == MachineOperationStep::Failed);
    drain::uncordon(seen).filter(|_| is_at_rest)
}

/// One action on the machine.
fn act(step: Step) -> Decision {
    Decision::Act(step)
}

#[cfg(test)]
mod tests;
