//! The start of an operation.

use super::{
    super::Observation,
    pending::{self, Pending},
    report, step,
};
use metal_api::{MachineOperation, MachineOperationStep, MachineOperationsStatus, MachineStatus};

/// Records the counters of a new Machine as completed. A Machine that was restored from a backup or
/// from Git looks like a new one, and its host may be in use; so only a counter that is increased
/// afterwards requests an operation.
pub(super) fn adopt(new: &mut MachineStatus, seen: &Observation<'_>) {
    if new.operations.is_some() {
        return;
    }
    let wanted = seen.machine.spec.operations.clone().unwrap_or_default();
    new.operations = Some(MachineOperationsStatus {
        reboot_counter: Some(wanted.reboot_counter.unwrap_or(0)),
        repave_counter: Some(wanted.repave_counter.unwrap_or(0)),
        ..MachineOperationsStatus::default()
    });
}

/// Without a BMC, no operation is in progress: a person has to power-cycle the machine.
pub(super) fn without_bmc(new: &mut MachineStatus) {
    if let Some(operations) = &mut new.operations {
        operations.current = None;
    }
}

/// Begins requested operations; adds later requests to the current one, as long as the host has not
/// been powered on for it.
pub(super) fn begin(new: &mut MachineStatus, seen: &Observation<'_>) {
    let pending = pending::of(seen.machine, new);
    if pending.is_nothing() {
        return;
    }
    let operations = new.operations.get_or_insert_default();
    match &mut operations.current {
        None => operations.current = Some(first(pending, seen)),
        Some(current) => match current.step {
            MachineOperationStep::Failed => operations.current = Some(first(pending, seen)),
            MachineOperationStep::Draining | MachineOperationStep::PoweringOff => {
                current.reboot_counter = pending.reboot.or(current.reboot_counter);
                current.repave_counter = pending.repave.or(current.repave_counter);
            }
            MachineOperationStep::PoweringOn
            | MachineOperationStep::Installing
            | MachineOperationStep::Finishing
            | MachineOperationStep::Other(_) => return,
        },
    }
    report::forget_outcome(new);
}

fn first(pending: Pending, seen: &Observation<'_>) -> MachineOperation {
    MachineOperation {
        reboot_counter: pending.reboot,
        repave_counter: pending.repave,
        step: step::first(seen),
        attempt: 1,
        since: step::now(seen),
        progress: None,
        boot_override: false,
        reason: None,
        message: None,
    }
}
