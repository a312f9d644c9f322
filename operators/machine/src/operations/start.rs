//! The start of an operation.

use super::{
    super::Observation,
    ADOPTION, OUTDATED, image,
    own_node::{Ownership, hosts_us, ownership},
    pending::{self, Pending},
    report, step,
};
use metal_api::{
    MachineOperation, MachineOperationStep, MachineOperations, MachineOperationsStatus,
    MachineRequested, MachineStatus,
};

/// Records what is requested of a Machine.
///
/// The counters of a new Machine count as completed. One that was restored from a backup or from Git
/// looks like a new one, and its host may be in use; so only a counter that is increased afterwards
/// requests an operation. Tools that restore merge what was in the backup only after the object was
/// created: a counter that rises by more than one soon after counting began is such a one, whatever is in
/// progress by then, and so is the first that rises then if its Node is older than the Machine, which was
/// there before, in other words. A status of another Machine comes from a backup as a whole.
pub(crate) fn adopt(new: &mut MachineStatus, seen: &Observation<'_>) {
    let uid = &seen.machine.metadata.uid;
    let Some(operations) = &mut new.operations else {
        new.operations = Some(counted(seen));
        return;
    };
    if operations.machine_uid.as_ref().is_some_and(|it| Some(it) != uid.as_ref()) {
        let current = operations.current.take();
        *operations = counted(seen);
        if let Some(current) = current.filter(|it| it.step != MachineOperationStep::Failed) {
            operations.current = Some(current);
            let message = "it was begun for another Machine of this name, before a restore";
            step::give_up(new, seen, ("Restored", message.to_owned()));
        }
        return;
    }
    operations.machine_uid.clone_from(uid);
    let requested = requested(seen);
    let Some(before) = operations.requested.replace(requested.clone()) else { return };
    if before.repave_counter != requested.repave_counter {
        operations.by_hand = None;
    }
    let since = operations.counted_since.as_ref();
    let is_new = since.is_some_and(|since| seen.clocks().age(since.0) < ADOPTION);
    let is_of_backup =
        is_jump(&before, &requested) || (is_first(&requested, &before) && is_recreated(seen));
    if is_new && is_of_backup {
        operations.reboot_counter = operations.reboot_counter.max(requested.reboot_counter);
        // The one that is under way is not taken back by that. Without a BMC, none is.
        let has_bmc = seen.machine.spec.pxe.as_ref().is_some_and(|pxe| pxe.redfish.is_some());
        let current = operations.current.as_ref().filter(|_| has_bmc);
        let current = current.filter(|it| it.step != MachineOperationStep::Failed);
        let under_way = current.and_then(|it| it.repave_counter);
        if under_way != requested.repave_counter {
            operations.repave_counter = operations.repave_counter.max(requested.repave_counter);
        }
        report::adopted(new, seen);
    }
}

/// A person has taken a repave back, by the counter of what is done, before its installer could run: the machine is
/// only rebooted, and its disk is left alone.
pub(super) fn take_back(new: &mut MachineStatus) {
    let Some(operations) = &mut new.operations else { return };
    let done = operations.repave_counter;
    let Some(current) = &mut operations.current else { return };
    if pending::is_taken_back(current, done) {
        (current.repave_counter, current.boot_override) = (None, false);
        report::installation_dropped(new);
    }
}

/// Whether a counter rises by more than one.
fn is_jump(before: &MachineRequested, now: &MachineRequested) -> bool {
    let jumps = |now: Option<i64>, before: Option<i64>| {
        now.unwrap_or(0).saturating_sub(before.unwrap_or(0)) > 1
    };
    jumps(now.reboot_counter, before.reboot_counter)
        || jumps(now.repave_counter, before.repave_counter)
}

/// Whether something is requested, and nothing was before.
fn is_first(requested: &MachineRequested, before: &MachineRequested) -> bool {
    let nothing = |it: &MachineRequested| {
        it.reboot_counter.unwrap_or(0) == 0 && it.repave_counter.unwrap_or(0) == 0
    };
    nothing(before) && !nothing(requested)
}

/// Whether its Node is older than the Machine. Both times are those of the API server.
fn is_recreated(seen: &Observation<'_>) -> bool {
    let own = seen.node.filter(|node| ownership(seen.machine, node) != Ownership::Another);
    let made = own.and_then(|node| node.metadata.creation_timestamp.as_ref());
    let machine = seen.machine.metadata.creation_timestamp.as_ref();
    made.zip(machine).is_some_and(|(node, machine)| node.0 < machine.0)
}

fn counted(seen: &Observation<'_>) -> MachineOperationsStatus {
    let requested = requested(seen);
    MachineOperationsStatus {
        reboot_counter: Some(requested.reboot_counter.unwrap_or(0)),
        repave_counter: Some(requested.repave_counter.unwrap_or(0)),
        machine_uid: seen.machine.metadata.uid.clone(),
        counted_since: Some(step::now(seen)),
        requested: Some(requested),
        ..MachineOperationsStatus::default()
    }
}

fn requested(seen: &Observation<'_>) -> MachineRequested {
    let MachineOperations { reboot_counter, repave_counter } =
        seen.machine.spec.operations.clone().unwrap_or_default();
    MachineRequested { reboot_counter, repave_counter }
}

/// Gives up a step that was recorded so long ago that the cluster may have been restored since. What is
/// installed already is only ended.
pub(super) fn expire(new: &mut MachineStatus, seen: &Observation<'_>) {
    let Some(current) = new.operations.as_ref().and_then(|it| it.current.as_ref()) else { return };
    if !pending::is_outdated(current, seen.clocks()) {
        return;
    }
    match &current.step {
        MachineOperationStep::Failed => {}
        MachineOperationStep::Finishing => step::end(new),
        step @ (MachineOperationStep::Draining
        | MachineOperationStep::PoweringOff
        | MachineOperationStep::PoweringOn
        | MachineOperationStep::Installing
        | MachineOperationStep::Other(_)) => {
            let message = format!(
                "the step {} was recorded more than {} hours ago: it may come from a backup",
                step.as_str(),
                OUTDATED.as_hours()
            );
            step::give_up(new, seen, ("Outdated", message));
        }
    }
}

/// Without a BMC, no operation is in progress: a person has to power-cycle the machine.
pub(super) fn without_bmc(new: &mut MachineStatus) {
    drop_current(new);
    report::no_bmc(new);
}

/// The operation that was in progress is abandoned.
pub(super) fn drop_current(new: &mut MachineStatus) {
    let dropped = new.operations.as_mut().and_then(|operations| operations.current.take());
    if dropped.is_some_and(|it| it.repave_counter.is_some()) {
        report::installation_dropped(new);
    }
}

/// Begins requested operations; adds later requests to the current one, as long as the host has not
/// been powered on for it. Nothing begins that could only fail for want of its image, or that would end this process
/// half-way, and an installation only together with a reboot.
pub(super) fn begin(new: &mut MachineStatus, seen: &Observation<'_>) {
    let pending = pending::of(seen.machine, new);
    if pending.is_nothing() || hosts_us(seen) || image::awaited(pending, seen, new).is_some() {
        return;
    }
    let operations = new.operations.get_or_insert_default();
    match &mut operations.current {
        None if pending.waits_for_reboot() => return,
        None => operations.current = Some(first(pending, seen)),
        Some(current) => match current.step {
            MachineOperationStep::Failed if pending.waits_for_reboot() => return,
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
