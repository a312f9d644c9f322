//! Reboots and installations of a Machine, which somebody asks for by raising a counter.
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
//! Each step is recorded before anything is done for it, and what was done is read back from the BMC.
//! How long somebody has had to comply is counted from the request, by the process that sent it; one
//! that starts in the middle asks again. The installer alone may take its time from the record, since
//! nothing is asked of anybody.
//!
//! A machine gets an installer only while [`installs`] says so: not before its host was off, not after
//! the installer has said that it is done, and not once the installation is given up.

mod begin;
mod bmc;
mod certificate;
mod drain;
mod install;
mod memory;
mod pending;
mod power;
mod progress;
mod report;
mod step;

pub use bmc::{Certificate, Place, Reading, Trouble, destination, place, system_uri};
pub use certificate::{from_pairs, to_pairs};
pub use drain::{is_cordoned_by_us, is_node_of, is_to_be_evicted};
pub use install::{Callback, installed};
pub use memory::{Memory, Outcome};
pub use pending::{Pending, installs, pending};
pub use progress::{InstallPhase, InstallProgress, reported};
pub use report::news;

use super::Observation;
use crate::redfish::Step;
use jiff::SignedDuration;
use metal_api::{MachineOperationStep, MachineStatus, annotation};

pub(super) use report::{State, record, state};

/// How often an operation is tried.
pub const ATTEMPTS: i32 = 3;
/// How long pods have to move away, from when the first was asked to.
pub const DRAIN: SignedDuration = SignedDuration::from_mins(5);
/// How long an operating system has to shut down, from when it was asked to.
pub const GRACE: SignedDuration = SignedDuration::from_mins(2);
/// How long a host has to go off whose power was cut, and to come on that was switched on.
pub const POWER: SignedDuration = SignedDuration::from_mins(5);
/// How long an installation may take, from when the host was seen on.
pub const INSTALL: SignedDuration = SignedDuration::from_mins(30);
/// How soon to look again while the power changes.
const POLL: SignedDuration = SignedDuration::from_secs(2);
/// How soon to ask again a BMC that gives no usable answer.
const SILENT: SignedDuration = SignedDuration::from_secs(15);
/// How long taking away the boot source may be tried.
const TIDY: SignedDuration = SignedDuration::from_mins(5);
/// A BMC that takes none of so many requests in a row is not going to.
const REFUSALS: u32 = 3;

/// On a Node: the UID of the Machine for which it takes no new pods.
pub const CORDONED_FOR: &str = annotation::CORDONED_FOR;

/// What is known besides the objects.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// What the BMC said last, and how long ago it was asked.
    pub reading: Option<(SignedDuration, &'a Reading)>,
    /// The certificate of the BMC, if it was asked for in this pass.
    pub certificate: Option<&'a Certificate>,
    /// How many pods have to move away, if they were counted in this pass.
    pub pods: Option<usize>,
    /// What this process has done for the recorded step.
    pub done: Done,
    /// Names of other Machines with the same system of the same BMC: whoever acts on one acts on all.
    pub sharing: &'a [String],
    /// Whether BMCs may be spoken to by plain HTTP.
    pub plain_http: bool,
}

/// What one process has done for one step of one attempt, each as the time since then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Pods were asked to move away, the first time.
    pub draining: Option<SignedDuration>,
    /// The BMC took the request to shut down, the first time.
    pub asked: Option<SignedDuration>,
    /// The BMC took the request to cut the power, the first time.
    pub forced: Option<SignedDuration>,
    /// The BMC took the request to switch on, the first time.
    pub on: Option<SignedDuration>,
    /// The last request, whether or not the BMC took it.
    pub last: Option<SignedDuration>,
    /// How often the boot source was set, or tried to be.
    pub arms: u32,
    /// How many requests the BMC has refused in a row.
    pub refusals: u32,
}

/// A fact that a decision needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The certificate of the BMC; no password is sent for it.
    Certificate,
    /// The system, now.
    System,
    /// How many pods have to move away.
    Pods,
}

/// One write to the cluster that is no status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The Node takes no new pods.
    Cordon,
    /// Asks pods of the Node to move away.
    Evict,
    /// The Node is of a system that is about to be overwritten: delete it.
    DeleteNode,
    /// The Node takes pods again.
    Uncordon,
    /// What a person vouched for is taken over: remove the annotation that did.
    Settle {
        /// Its key.
        annotation: &'static str,
    },
}

/// What one pass is to do about operations.
pub(super) type Decision = super::Decision;

/// Brings the operations of a Machine forward: changes what its status says of them, or returns what
/// is to be done once that is recorded.
pub(super) fn advance(new: &mut MachineStatus, seen: &Observation<'_>) -> Option<Decision> {
    begin::adopt(new, seen);
    let Some(redfish) = seen.machine.spec.pxe.as_ref().and_then(|pxe| pxe.redfish.as_ref()) else {
        begin::without_bmc(new);
        return None;
    };
    if let Some(decision) = bmc::pin(new, seen, redfish) {
        return Some(decision);
    }
    begin::begin(new, seen);
    let current = new.operations.as_ref().and_then(|it| it.current.as_ref());
    let Some(step) = current.map(|current| current.step.clone()) else {
        return drain::uncordon(seen);
    };
    match step {
        MachineOperationStep::Draining => drain::drain(new, seen),
        MachineOperationStep::PoweringOff => power::off(new, seen),
        MachineOperationStep::PoweringOn => power::on(new, seen),
        MachineOperationStep::Installing => install::wait(new, seen),
        MachineOperationStep::Finishing => install::finish(new, seen),
        MachineOperationStep::Failed => power::tidy(new, seen).or_else(|| drain::uncordon(seen)),
        // Of a version that knows more: it is for that one to go on.
        MachineOperationStep::Other(_) => None,
    }
}

/// One thing to be done to the machine.
fn act(step: Step) -> Decision {
    Decision::Act(step)
}

#[cfg(test)]
mod tests;
