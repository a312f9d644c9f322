//! What a person asks of a [`Machine`] on the command line: by which counters it is asked for, and
//! whether it is done.
//!
//! ```text
//!            counted by metalman          raised               seen, by its generation
//! asked for ────────────────────► counter ───────► not seen ────────────────────────────► waits ──► done
//!                                                                                         │ │
//!                                                            given up, or nobody acts on it ▼ └─► needs a person
//!                                                                                        given up
//! ```
//! Who resolves what a machine waits for, metalman by retrying or a person, is in one table (`../resolution.rs`).
//!
//! Before metalman has counted a Machine, a raised counter would be where counting begins, and nothing
//! would happen.

mod progress;

pub use super::resolution::Request;
pub use progress::{Progress, RaisedRequest, progress};

use super::operations;
use metal_api::{Machine, MachineOperations, condition};

/// Who switches a machine that has no BMC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manual {
    /// Somebody does, who knows of it.
    Somebody,
    /// Nobody does.
    Nobody,
}

/// Why a counter is not raised.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// metalman manages Machines that boot from the network.
    #[error("it has no spec.pxe, so metalman does not manage it")]
    NotByNetwork,
    /// It goes.
    #[error("it is being deleted")]
    Deleted,
    /// The counter would become the one at which counting begins.
    #[error("metalman has not seen it yet: is one running for {0}?")]
    NotCounted(String),
    /// Nobody acts on it before this is fixed.
    #[error("fix this first: {reason}: {message}")]
    Unusable {
        /// In one word.
        reason: String,
        /// In a sentence.
        message: String,
    },
    /// There is no BMC, and the end of a reboot by hand is seen by nobody.
    #[error(
        "it has no spec.pxe.redfish: metalman cannot switch it, and does not see whether somebody \
         does; switch it off and on by hand, and leave the counter alone"
    )]
    RebootByHand,
    /// There is no BMC, and nobody has said that somebody will switch it.
    #[error(
        "it has no spec.pxe.redfish: somebody has to switch it off and on, and make it boot from the \
         network, where it is installed anew; with --by-hand the counter is raised for that, and its \
         disk is overwritten at its next boot from the network, whenever that is"
    )]
    RepaveByHand,
    /// A reboot would install it anew, which nobody has asked for now.
    #[error(
        "repave {0} waits for its next reboot, which would overwrite its disk: if that is meant, ask for a \
         repave; if not, set status.operations.repaveCounter to {0} first"
    )]
    Staged(i64),
    /// A counter is as high as it can be.
    #[error("spec.operations has a counter that cannot be raised any more")]
    Exhausted,
}

/// The counters by which this is asked for: each is above what it was, what was done, and what was
/// given up.
///
/// # Errors
///
/// Why it is not to be asked for.
pub fn raised(
    machine: &Machine,
    request: Request,
    by_hand: Manual,
) -> Result<MachineOperations, Refusal> {
    let pxe = machine.spec.pxe.as_ref().ok_or(Refusal::NotByNetwork)?;
    if machine.metadata.deletion_timestamp.is_some() {
        return Err(Refusal::Deleted);
    }
    if let Some((reason, message)) = unusable(machine) {
        return Err(Refusal::Unusable { reason, message });
    }
    match (pxe.redfish.is_some(), request, by_hand) {
        (true, ..) | (false, Request::Repave, Manual::Somebody) => {}
        (false, Request::Reboot, _) => return Err(Refusal::RebootByHand),
        (false, Request::Repave, Manual::Nobody) => return Err(Refusal::RepaveByHand),
    }
    if let (Request::Reboot, Some(repave)) = (request, staged(machine)) {
        return Err(Refusal::Staged(repave));
    }
    let status = machine.status.as_ref().and_then(|status| status.operations.as_ref());
    let done = status.ok_or_else(|| Refusal::NotCounted(whose(machine)))?;
    let given_up = done.given_up.clone().unwrap_or_default();
    let wanted = machine.spec.operations.clone().unwrap_or_default();
    let next = |all: [Option<i64>; 3]| {
        let highest = all.into_iter().flatten().max().unwrap_or(0);
        highest.checked_add(1).map(Some).ok_or(Refusal::Exhausted)
    };
    let reboot = next([wanted.reboot_counter, done.reboot_counter, given_up.reboot_counter])?;
    let repave = match request {
        Request::Reboot => wanted.repave_counter,
        Request::Repave => {
            next([wanted.repave_counter, done.repave_counter, given_up.repave_counter])?
        }
    };
    Ok(MachineOperations { reboot_counter: reboot, repave_counter: repave })
}

/// The installation that the next reboot carries out, whoever asks for that.
fn staged(machine: &Machine) -> Option<i64> {
    let pending = operations::pending(machine);
    pending.repave.filter(|_| pending.waits_for_reboot())
}

/// Which metalman looks after a Machine.
fn whose(machine: &Machine) -> String {
    let labels = machine.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(super::site::LABEL))
        .map_or_else(|| "machines without a site".to_owned(), |site| format!("the site {site}"))
}

/// Why metalman does nothing about this Machine as it is now, if it has said so.
fn unusable(machine: &Machine) -> Option<(String, String)> {
    let status = machine.status.as_ref()?;
    if status.observed_generation < machine.metadata.generation {
        return None;
    }
    let ready = status.conditions.iter().find(|it| it.type_ == condition::READY)?;
    let is_unusable =
        matches!(ready.reason.as_str(), "Ambiguous" | "InvalidLease" | "NameReserved");
    (ready.status != "True" && is_unusable).then(|| (ready.reason.clone(), ready.message.clone()))
}

/// Whether anything that was asked for before is not done yet.
pub fn is_busy(machine: &Machine) -> bool {
    !operations::pending(machine).is_nothing()
}

#[cfg(test)]
mod tests;
