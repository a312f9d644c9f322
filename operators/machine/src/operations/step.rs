//! Transitions between the steps of an operation.

use super::{super::Observation, ATTEMPTS, own_node, report};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{MachineGivenUp, MachineOperation, MachineOperationStep, MachineStatus};

/// The current second, because the API server stores no fractions.
pub(super) fn now(seen: &Observation<'_>) -> Time {
    Time(Timestamp::from_second(seen.now.as_second()).unwrap_or(seen.now))
}

/// The operation in progress.
pub(super) fn current(new: &mut MachineStatus) -> Option<&mut MachineOperation> {
    new.operations.as_mut()?.current.as_mut()
}

/// Enters this step. An installer may have been heard before its host was seen on.
pub(super) fn go_to(new: &mut MachineStatus, seen: &Observation<'_>, step: MachineOperationStep) {
    if let Some(current) = current(new) {
        if step != MachineOperationStep::Installing {
            current.progress = None;
        }
        current.step = step;
        current.since = now(seen);
    }
}

/// The first step of an attempt: the host may run a system with pods.
pub(super) fn first(seen: &Observation<'_>) -> MachineOperationStep {
    if own_node::node(seen).is_some_and(own_node::is_worth_draining) {
        MachineOperationStep::Draining
    } else {
        MachineOperationStep::PoweringOff
    }
}

/// This attempt has failed: begins the next one, or gives up.
pub(super) fn fail(
    new: &mut MachineStatus,
    seen: &Observation<'_>,
    (reason, message): (&'static str, String),
) {
    let Some(failed) = current(new) else { return };
    if failed.attempt >= ATTEMPTS {
        stop(new, seen, (reason, message));
        return;
    }
    failed.reason = Some(reason.to_owned());
    failed.message = Some(message);
    failed.attempt += 1;
    go_to(new, seen, first(seen));
}

/// It is given up at once, and its boot source is left as it is, because the host may be another one by now.
pub(super) fn give_up(
    new: &mut MachineStatus,
    seen: &Observation<'_>,
    why: (&'static str, String),
) {
    if let Some(current) = current(new) {
        current.boot_override = false;
    }
    stop(new, seen, why);
}

/// It is given up.
pub(super) fn stop(
    new: &mut MachineStatus,
    seen: &Observation<'_>,
    (reason, message): (&'static str, String),
) {
    let Some(failed) = current(new) else { return };
    failed.reason = Some(reason.to_owned());
    failed.message = Some(message);
    let (reboot, repave) = (failed.reboot_counter, failed.repave_counter);
    go_to(new, seen, MachineOperationStep::Failed);
    let operations = new.operations.get_or_insert_default();
    let (rebooted, repaved) = (operations.reboot_counter, operations.repave_counter);
    let before = operations.given_up.take().unwrap_or_default();
    operations.given_up = Some(MachineGivenUp {
        reboot_counter: before.reboot_counter.max(reboot.filter(|it| Some(*it) > rebooted)),
        repave_counter: before.repave_counter.max(repave.filter(|it| Some(*it) > repaved)),
    });
    report::gave_up(new, seen, reason);
}

/// The host is on again: the reboot is done.
pub(super) fn rebooted(new: &mut MachineStatus) {
    let Some(operations) = &mut new.operations else { return };
    let counter = operations.current.as_ref().and_then(|current| current.reboot_counter);
    // Whatever it was switched on for, this also completes a reboot that was given up.
    let given_up = operations.given_up.as_mut().and_then(|it| it.reboot_counter.take());
    operations.reboot_counter = operations.reboot_counter.max(counter).max(given_up);
}

/// The operation has ended.
pub(super) fn end(new: &mut MachineStatus) {
    if let Some(operations) = &mut new.operations {
        operations.current = None;
    }
}
