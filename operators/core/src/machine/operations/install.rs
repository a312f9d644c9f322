//! The part of an operation in which the installer runs.

use super::{
    super::{Observation, RESYNC},
    Decision, INSTALL, installs, power, report, step,
};
use jiff::{SignedDuration, Timestamp};
use metal_api::{Machine, MachineOperationStep, MachineStatus};

/// How to handle the report of an installer that it is done.
#[derive(Clone, Debug, PartialEq)]
pub enum Callback {
    /// It is done: this status has to be written before the installer gets a response.
    Record(Box<MachineStatus>),
    /// It was reported before, or no installation was requested: there is nothing to write.
    Nothing,
    /// It is the installer of an earlier installation.
    Stale,
}

/// The installer of `machine` reports that it is done. `counter` is the repave counter that it was
/// booted for, if its URL contains it. Only an installation that may be in progress is completed by
/// it.
pub fn installed(machine: &Machine, counter: Option<i64>, now: Timestamp) -> Callback {
    let Some(asked) = installs(machine) else { return Callback::Nothing };
    if counter.is_some_and(|counter| counter != asked) {
        return Callback::Stale;
    }
    let mut new = machine.status.clone().unwrap_or_default();
    let operations = new.operations.get_or_insert_default();
    operations.repave_counter = operations.repave_counter.max(Some(asked));
    if let Some(current) = &mut operations.current {
        // The host is on, otherwise there could be no report.
        operations.reboot_counter = operations.reboot_counter.max(current.reboot_counter);
        current.step = MachineOperationStep::Finishing;
        current.since.0 = Timestamp::from_second(now.as_second()).unwrap_or(now);
    } else {
        // A person has power-cycled it.
        let wanted = machine.spec.operations.as_ref().and_then(|it| it.reboot_counter);
        operations.reboot_counter = operations.reboot_counter.max(wanted);
    }
    report::installation_done(&mut new, machine, now);
    Callback::Record(Box::new(new))
}

/// Waits for the installer.
pub(super) fn wait(new: &mut MachineStatus, seen: &Observation<'_>) -> Option<Decision> {
    let done = new.operations.as_ref().and_then(|it| it.repave_counter);
    let current = step::current(new)?;
    if done >= current.repave_counter {
        step::go_to(new, seen, MachineOperationStep::Finishing);
        return None;
    }
    let left = INSTALL - seen.now.duration_since(current.since.0);
    if left.is_positive() {
        // Setting the clock back does not extend the time limit.
        return Some(Decision::Rest(
            left.min(INSTALL).min(RESYNC).max(SignedDuration::from_secs(1)),
        ));
    }
    let minutes = INSTALL.as_mins();
    let message = match report::installer_failure(new) {
        Some(why) => format!("the installer has failed for {minutes} minutes: {why}"),
        None => format!("the installer was not done within {minutes} minutes: look at its console"),
    };
    step::fail(new, seen, ("InstallTimedOut", message));
    None
}

/// It is installed: resets the boot source, and ends the operation.
pub(super) fn finish(new: &mut MachineStatus, seen: &Observation<'_>) -> Option<Decision> {
    let decision = power::tidy(new, seen);
    if decision.is_none() {
        step::end(new);
    }
    decision
}
