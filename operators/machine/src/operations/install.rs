//! The part of an operation in which the installer runs.

use super::{
    super::{Observation, RESYNC, accepted, is_ready},
    Clocks, Decision, Done, Limits, installs, limits, own_node, pending, power, progress,
    report::{self, NOT_REPORTED},
    step,
};
use jiff::{SignedDuration, Timestamp};
use metal_api::{
    Machine, MachineInstallProgress, MachineInstalledDisk, MachineOperation, MachineOperationStep,
    MachineStatus, annotation,
};

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
/// it. `disk` is the one that it says it has installed to.
pub fn installed(
    machine: &Machine,
    counter: Option<i64>,
    disk: Option<MachineInstalledDisk>,
    now: Clocks,
) -> Callback {
    let Some(asked) = installs(machine, now) else { return Callback::Nothing };
    if counter.is_some_and(|counter| counter != asked) {
        return Callback::Stale;
    }
    let mut new = machine.status.clone().unwrap_or_default();
    complete(&mut new, machine, now.wall);
    new.operations.get_or_insert_default().installed_disk = disk;
    Callback::Record(Box::new(new))
}

/// What is installed now is what was requested. Nobody has said on which disk it is: that of before may have
/// somebody's data by now.
fn complete(new: &mut MachineStatus, machine: &Machine, now: Timestamp) {
    let asked = pending::of(machine, new);
    let operations = new.operations.get_or_insert_default();
    operations.installed_disk = None;
    if let Some(current) = &mut operations.current {
        operations.repave_counter = operations.repave_counter.max(current.repave_counter);
        // The host is on, otherwise there could be no report.
        operations.reboot_counter = operations.reboot_counter.max(current.reboot_counter);
        current.step = MachineOperationStep::Finishing;
        current.since.0 = Timestamp::from_second(now.as_second()).unwrap_or(now);
        current.progress = None;
    } else {
        // A person has power-cycled it.
        operations.by_hand = None;
        operations.repave_counter = operations.repave_counter.max(asked.repave);
        let wanted = machine.spec.operations.as_ref().and_then(|it| it.reboot_counter);
        operations.reboot_counter = operations.reboot_counter.max(wanted);
    }
    report::installation_done(new, machine, now);
}

/// Waits for the installer. A machine that has joined in the meantime is not installed again just because the
/// time is over.
pub(super) fn wait(new: &mut MachineStatus, seen: &Observation<'_>) -> Option<Decision> {
    let furthest = new.operations.as_ref()?.current.as_ref()?.progress.as_ref();
    if is_up(new, seen, furthest) {
        complete(new, seen.machine, seen.now);
        return None;
    }
    remember_node(new, seen);
    let old: &MachineStatus = new;
    let current = old.operations.as_ref()?.current.as_ref()?;
    let (limits, done) = (seen.known.limits, seen.known.done);
    let left = left(&limits, &done);
    if left.is_positive() {
        return Some(Decision::Rest(left.min(RESYNC).max(SignedDuration::from_secs(1))));
    }
    if has_joined(seen, current) {
        let message = not_reported(current);
        step::stop(new, seen, (NOT_REPORTED, message));
        return None;
    }
    let message = booted_disk(old, seen)
        .unwrap_or_else(|| over(current, &limits, &done, report::installer_failure(old)));
    step::fail(new, seen, ("InstallTimedOut", message));
    None
}

/// Without a BMC: a machine that has joined since its installer wrote to the disk is installed.
pub(super) fn by_hand(new: &mut MachineStatus, seen: &Observation<'_>) {
    let is_due = pending::of(seen.machine, new).repave.is_some();
    let furthest = new.operations.as_ref().and_then(|it| it.by_hand.as_ref());
    if is_due && is_up(new, seen, furthest) {
        complete(new, seen.machine, seen.now);
        return;
    }
    remember_node(new, seen);
}

/// Whether a person vouches for the installation that has failed because nobody has told its end, which ends
/// it.
pub(super) fn accept(new: &mut MachineStatus, seen: &Observation<'_>) -> bool {
    let current = new.operations.as_ref().and_then(|it| it.current.as_ref());
    let is_meant = current.is_some_and(|it| {
        it.reason.as_deref() == Some(NOT_REPORTED)
            && it.repave_counter.is_some()
            && it.repave_counter == accepted::installation(seen.machine)
    });
    if is_meant {
        complete(new, seen.machine, seen.now);
    }
    is_meant
}

/// Remembers which Node existed when the installer began to write: it belongs to the previous system.
fn remember_node(new: &mut MachineStatus, seen: &Observation<'_>) {
    let Some(operations) = &mut new.operations else { return };
    let furthest =
        operations.current.as_mut().map_or(&mut operations.by_hand, |it| &mut it.progress);
    if progress::writing_since(furthest.as_ref()).is_none() {
        return;
    }
    if let Some(furthest) = furthest {
        let uid = seen.node.and_then(|node| node.metadata.uid.clone());
        furthest.node_uid.get_or_insert_with(|| uid.unwrap_or_default());
    }
}

/// Whether the machine is a Node that is ready, after its installer has fetched or said something: it may be
/// the old system that has come back, and it may be the new one.
fn has_joined(seen: &Observation<'_>, current: &MachineOperation) -> bool {
    current.progress.is_some() && own_node::node(seen).is_some_and(is_ready)
}

/// What a person may do where nothing was heard of the installer, and the old system is there again.
fn booted_disk(status: &MachineStatus, seen: &Observation<'_>) -> Option<String> {
    let current = status.operations.as_ref()?.current.as_ref()?;
    let is_silent = current.progress.is_none() && report::installer_failure(status).is_none();
    let is_back = is_silent && own_node::node(seen).is_some_and(is_ready);
    let hint = if report::is_boot_source_set(status) {
        ""
    } else {
        ", which its BMC could not be told (BootOrderConfigSupported)"
    };
    is_back.then(|| {
        let without = limits::words(seen.known.limits.install);
        format!(
            "nothing was heard of the installer within {without}, and the Node is ready: the machine has booted \
             its disk; set it up to boot from the network first{hint}"
        )
    })
}

fn not_reported(current: &MachineOperation) -> String {
    let counter = current.repave_counter.unwrap_or_default();
    format!(
        "its installer did not say that it is done, and its Node is ready, so it is left alone; if it runs \
         what was to be installed, annotate this Machine with {}={counter}",
        annotation::ACCEPT_INSTALLATION
    )
}

/// Whether the Node of the machine was made since its installer wrote to the disk: the installed system is
/// up, and joined. The installer may not have been able to say that it is done. That is so by the time at which
/// it was made, or, since the clock of the API server is another one, if it is another Node than the one of
/// then, and ready. A Node that was made before may be one of the old system, and so may any other while the
/// installer says that it has failed.
fn is_up(
    status: &MachineStatus,
    seen: &Observation<'_>,
    furthest: Option<&MachineInstallProgress>,
) -> bool {
    let Some(since) = progress::writing_since(furthest) else { return false };
    let Some(node) = own_node::node(seen) else { return false };
    if report::installer_failure(status).is_some() {
        return false;
    }
    let before = furthest.and_then(|it| it.node_uid.as_ref());
    let is_another = before.zip(node.metadata.uid.as_ref()).is_some_and(|(old, new)| old != new);
    let made = node.metadata.creation_timestamp.as_ref();
    made.is_some_and(|made| made.0 > since) || (is_another && is_ready(node))
}

/// How much time is left for the installer: `limits.install` since it was first seen, or since it has come
/// further than ever in this attempt, and not more than `limits.install_in_all`.
fn left(limits: &Limits, done: &Done) -> SignedDuration {
    let here = done.here.unwrap_or_default();
    let without = limits.install - done.progressed.unwrap_or(here);
    without.min(limits.install_in_all - here)
}

/// Why the installer has run out of time.
fn over(current: &MachineOperation, limits: &Limits, done: &Done, failure: Option<&str>) -> String {
    let (without, all) = (limits::words(limits.install), limits::words(limits.install_in_all));
    if done.here.is_some_and(|ago| ago >= limits.install_in_all) {
        return format!("the installer was not done within {all}");
    }
    match (failure, &current.progress) {
        (Some(why), None) => format!("the installer has failed for {without}: {why}"),
        (Some(why), Some(_)) => format!("the installer made no progress for {without}: {why}"),
        (None, None) => {
            format!("the installer was not done within {without}: look at its console")
        }
        (None, Some(last)) => {
            let last = progress::furthest(last);
            format!(
                "the installer made no progress for {without} after {last}: look at its console"
            )
        }
    }
}

/// It is installed: resets the boot source, and ends the operation.
pub(super) fn finish(new: &mut MachineStatus, seen: &Observation<'_>) -> Option<Decision> {
    let decision = power::tidy(new, seen);
    if decision.is_none() {
        step::end(new);
    }
    decision
}
