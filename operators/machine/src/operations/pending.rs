//! Which operations are requested.

use super::{Clocks, OUTDATED};
use metal_api::{
    Machine, MachineOperation, MachineOperationStep, MachineOperationsStatus, MachineRequested,
    MachineStatus,
};

/// Counters that are higher than those of completed and failed operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// `spec.operations.rebootCounter`.
    pub reboot: Option<i64>,
    /// `spec.operations.repaveCounter`.
    pub repave: Option<i64>,
}

impl Pending {
    /// Whether nothing is requested.
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }

    /// Whether an installation is requested that has to wait for the next reboot, which is not requested.
    pub fn waits_for_reboot(self) -> bool {
        self.repave.is_some() && self.reboot.is_none()
    }
}

/// The requested operations. A missing counter is 0. Nothing is requested until `status.operations`
/// has the initial counters.
pub fn pending(machine: &Machine) -> Pending {
    let none = MachineStatus::default();
    of(machine, machine.status.as_ref().unwrap_or(&none))
}

/// The same, for a status that is not written yet.
pub(super) fn of(machine: &Machine, status: &MachineStatus) -> Pending {
    let wanted = machine.spec.operations.clone().unwrap_or_default();
    let Some(done) = status.operations.as_ref().filter(|it| is_of(machine, it)) else {
        return Pending::default();
    };
    let given_up = done.given_up.clone().unwrap_or_default();
    // Counters that the leader has not seen yet may have to be adopted.
    let seen = done.requested.clone().unwrap_or(MachineRequested {
        reboot_counter: wanted.reboot_counter,
        repave_counter: wanted.repave_counter,
    });
    let above = |wanted: Option<i64>, seen: Option<i64>, over: [Option<i64>; 2]| {
        let over = over.into_iter().flatten().max().unwrap_or(0);
        wanted.filter(|wanted| *wanted > over && Some(*wanted) <= seen)
    };
    Pending {
        reboot: above(
            wanted.reboot_counter,
            seen.reboot_counter,
            [done.reboot_counter, given_up.reboot_counter],
        ),
        repave: above(
            wanted.repave_counter,
            seen.repave_counter,
            [done.repave_counter, given_up.repave_counter],
        ),
    }
}

/// Whether this status is about the Machine, and not about another one in a backup.
fn is_of(machine: &Machine, operations: &MachineOperationsStatus) -> bool {
    let uid = operations.machine_uid.as_ref();
    uid.is_none_or(|uid| machine.metadata.uid.as_ref() == Some(uid))
}

/// Whether a step, or the last progress of its installer, was recorded so long ago, or so far in the
/// future, that it is not continued.
pub(super) fn is_outdated(current: &MachineOperation, now: Clocks) -> bool {
    let progress = current.progress.as_ref().map(|it| it.at.0);
    let last = progress.map_or(current.since.0, |at| at.max(current.since.0));
    now.age(last) >= OUTDATED
}

/// Whether the repave of an operation counts as done before its installer was heard: a person has said so.
pub(super) fn is_taken_back(current: &MachineOperation, done: Option<i64>) -> bool {
    let is_before = matches!(
        current.step,
        MachineOperationStep::Draining
            | MachineOperationStep::PoweringOff
            | MachineOperationStep::PoweringOn
    );
    // An installer may be heard before its host was seen on.
    let is_heard = current.progress.is_some();
    is_before && !is_heard && current.repave_counter.is_some() && current.repave_counter == done
}

/// The repave counter for which the machine may boot the installer now; `None` if it must not.
///
/// With a BMC, it may from the time that the host was seen off until the installer reports that it
/// is done, or the attempt ends. Without a BMC, a person power-cycles the machine at an unknown
/// time, so it may install as long as an installation is requested.
pub fn installs(machine: &Machine, now: Clocks) -> Option<i64> {
    let pxe = machine.spec.pxe.as_ref()?;
    if machine.metadata.deletion_timestamp.is_some() {
        return None;
    }
    if pxe.redfish.is_none() {
        return pending(machine).repave;
    }
    let operations = machine.status.as_ref()?.operations.as_ref()?;
    let current = operations.current.as_ref().filter(|_| is_of(machine, operations))?;
    if is_outdated(current, now) || is_taken_back(current, operations.repave_counter) {
        return None;
    }
    match current.step {
        MachineOperationStep::PoweringOn | MachineOperationStep::Installing => {
            current.repave_counter
        }
        MachineOperationStep::Draining
        | MachineOperationStep::PoweringOff
        | MachineOperationStep::Finishing
        | MachineOperationStep::Failed
        | MachineOperationStep::Other(_) => None,
    }
}
