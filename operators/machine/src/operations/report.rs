//! Conditions and phases about operations.

use super::{super::Observation, evictions::draining, image, lockout, own_node::hosts_us, pending};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use metal_api::{
    Machine, MachineOperation, MachineOperationStep, MachinePhase, MachineStatus, condition,
};
use metal_core::conditions::{self, Fact};

/// Why an attempt is not repeated if the machine may be installed already.
pub(super) const NOT_REPORTED: &str = "InstallNotReported";
/// Reason of the condition after counters of a backup were adopted.
const ADOPTED: &str = "Adopted";
/// The reason for people.
pub(super) const WHY_ADOPTED: &str = "counters of spec.operations rose soon after this Machine was first seen, \
    by more than one, or with a Node that is older than it, as they do when a backup is restored: nothing was \
    done; increase one by one to request an operation";

/// Why nothing begins on the machine that metalman itself runs on.
const OWN_HOST: &str = "the metalman that leads runs on the Node of this machine, and would not be there to switch \
    it on again: let it run on another Node (cordon this one, delete the pod of metalman, and uncordon this one when \
    it is done), or run a second replica elsewhere and delete this pod";

/// The phase of a Machine, as far as an operation determines it.
pub(crate) struct ReportedPhase {
    pub(crate) phase: MachinePhase,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

/// The phase of a Machine with an operation in progress, or one that has failed.
pub(crate) fn state(status: &MachineStatus, seen: &Observation<'_>) -> Option<ReportedPhase> {
    let current = status.operations.as_ref()?.current.as_ref()?;
    let what = what(current);
    let (phase, reason, message) = match current.step {
        MachineOperationStep::Draining => {
            let draining = draining(seen.known.left);
            (MachinePhase::Rebooting, "Draining", format!("{what}: {draining}"))
        }
        MachineOperationStep::PoweringOff => {
            (MachinePhase::Rebooting, "PoweringOff", format!("{what}: powering off the host"))
        }
        MachineOperationStep::PoweringOn => {
            (MachinePhase::Rebooting, "PoweringOn", format!("{what}: powering on the host"))
        }
        MachineOperationStep::Installing => (
            MachinePhase::Provisioning,
            "Installing",
            format!("{what}: waiting for the installer to finish"),
        ),
        MachineOperationStep::Failed => {
            let reason = reason_of(current);
            let message = current.message.clone().unwrap_or_default();
            let again = again(current.repave_counter.is_some());
            let message = format!("{what} failed: {message}; {again}");
            (MachinePhase::Failed, reason, message)
        }
        MachineOperationStep::Finishing | MachineOperationStep::Other(_) => return None,
    };
    Some(ReportedPhase { phase, reason, message })
}

/// How to request again what was given up.
fn again(installs: bool) -> &'static str {
    if installs {
        "increase both counters to try again"
    } else {
        "increase the counter to try again"
    }
}

/// The name of the operation, and the attempt.
pub(super) fn what(current: &MachineOperation) -> String {
    let (name, counter) = match (current.repave_counter, current.reboot_counter) {
        (Some(repave), _) => ("repave", repave),
        (None, reboot) => ("reboot", reboot.unwrap_or_default()),
    };
    format!("{name} {counter}, attempt {}", current.attempt)
}

pub(super) fn reason_of(current: &MachineOperation) -> &'static str {
    let known = [
        "PowerOffFailed",
        "PowerOnFailed",
        "HttpBootUriSet",
        "InstallTimedOut",
        NOT_REPORTED,
        "Outdated",
        "Restored",
    ];
    let found = known.into_iter().find(|known| current.reason.as_deref() == Some(known));
    found.unwrap_or("OperationFailed")
}

/// Sets the condition that all requested operations are complete.
pub(crate) fn record(new: &mut MachineStatus, seen: &Observation<'_>) {
    let pending = pending::of(seen.machine, new);
    let current = new.operations.as_ref().and_then(|it| it.current.as_ref());
    let step = current.map(|current| current.step.as_str().to_owned());
    let has_bmc = seen.machine.spec.pxe.as_ref().is_some_and(|pxe| pxe.redfish.is_some());
    // What has failed before is not why nothing begins now.
    let has_failed = current.is_some_and(|it| it.step == MachineOperationStep::Failed);
    let is_asked_again = has_failed && !pending.is_nothing() && !pending.waits_for_reboot();
    let state = state(new, seen);
    let before = new.conditions.iter().find(|it| it.type_ == condition::OPERATIONS_DONE);
    let (was, is_adopted) = (before.is_some(), before.is_some_and(is_adopted));
    let (holds, reason, message) = match (state, step) {
        (Some(_), _) if is_asked_again && has_bmc && hosts_us(seen) => {
            (false, "OwnHost".to_owned(), OWN_HOST.into())
        }
        (Some(state), _) => (false, state.reason.to_owned(), state.message),
        (None, Some(step)) => (false, step, String::new()),
        (None, None) if pending.is_nothing() => match given_up(new) {
            Some(message) => (false, "GivenUp".to_owned(), message),
            None if !was || is_adopted => return,
            None => (true, "Done".to_owned(), String::new()),
        },
        (None, None) if seen.machine.metadata.deletion_timestamp.is_some() => {
            (false, "Deleting".to_owned(), String::new())
        }
        (None, None) if has_bmc && pending.waits_for_reboot() => {
            (false, "WaitsForReboot".to_owned(), staged(pending))
        }
        (None, None) if has_bmc && hosts_us(seen) => (false, "OwnHost".to_owned(), OWN_HOST.into()),
        (None, None) if has_bmc => match image::awaited(pending, seen, new) {
            Some(message) => (false, "ImageNotReady".to_owned(), message),
            None => (false, "Pending".to_owned(), String::new()),
        },
        (None, None) => (false, "NoBMC".to_owned(), by_hand(pending)),
    };
    let fact =
        Fact { type_: condition::OPERATIONS_DONE, holds, reason: &reason, message: &message };
    conditions::set(&mut new.conditions, fact, seen.machine.metadata.generation, seen.now);
}

/// Counters have risen as those of a backup do, and nothing is done for that.
pub(super) fn adopted(new: &mut MachineStatus, seen: &Observation<'_>) {
    let (type_, reason, message) = (condition::OPERATIONS_DONE, ADOPTED, WHY_ADOPTED);
    set(new, Fact { type_, holds: true, reason, message }, seen);
}

/// What was given up, and has not been done since.
fn given_up(status: &MachineStatus) -> Option<String> {
    let done = status.operations.as_ref()?;
    let given_up = done.given_up.as_ref()?;
    let above = |given_up: Option<i64>, done| given_up.filter(|counter| Some(*counter) > done);
    let repave = above(given_up.repave_counter, done.repave_counter);
    let repave = repave.map(|it| format!("repave {it} was given up; {}", again(true)));
    repave.or_else(|| {
        let reboot = above(given_up.reboot_counter, done.reboot_counter)?;
        Some(format!("reboot {reboot} was given up; {}", again(false)))
    })
}

pub(crate) fn is_adopted(condition: &Condition) -> bool {
    condition.status == "True" && condition.reason == ADOPTED
}

fn staged(pending: pending::Pending) -> String {
    format!(
        "repave {} is carried out with the next reboot: increase spec.operations.rebootCounter",
        pending.repave.unwrap_or_default()
    )
}

fn by_hand(pending: pending::Pending) -> String {
    let fix = "power-cycle the machine by hand, or set spec.pxe.redfish";
    match (pending.repave, pending.reboot) {
        (Some(repave), _) => format!(
            "repave {repave} needs manual action: {fix}; the installation starts when the machine \
             boots from the network"
        ),
        (None, reboot) => {
            format!("reboot {} needs manual action: {fix}", reboot.unwrap_or_default())
        }
    }
}

fn set(new: &mut MachineStatus, fact: Fact<'_>, seen: &Observation<'_>) {
    conditions::set(&mut new.conditions, fact, seen.machine.metadata.generation, seen.now);
}

fn remove(new: &mut MachineStatus, type_: &str) {
    new.conditions.retain(|condition| condition.type_ != type_);
}

fn power(new: &mut MachineStatus, seen: &Observation<'_>, holds: bool, reason: &str) {
    let current = new.operations.as_ref().and_then(|it| it.current.as_ref());
    let counter = current.and_then(|current| current.reboot_counter).unwrap_or_default();
    let message = format!("target reboots: {counter}");
    set(new, Fact { type_: condition::POWERED_OFF, holds, reason, message: &message }, seen);
}

pub(super) fn powering_off(new: &mut MachineStatus, seen: &Observation<'_>) {
    power(new, seen, false, "PoweringOff");
}

pub(super) fn is_off(new: &mut MachineStatus, seen: &Observation<'_>, reason: &str) {
    power(new, seen, true, reason);
}

pub(super) fn is_on(new: &mut MachineStatus) {
    remove(new, condition::POWERED_OFF);
}

/// Nothing is known about a BMC that was removed.
pub(super) fn no_bmc(new: &mut MachineStatus) {
    for type_ in
        [condition::POWERED_OFF, condition::BMC_REACHABLE, condition::BOOT_ORDER_CONFIG_SUPPORTED]
    {
        remove(new, type_);
    }
}

fn image_of(machine: &Machine) -> String {
    let image = machine.spec.pxe.as_ref().map_or("", |pxe| pxe.image.as_str());
    format!("image={image}")
}

/// An installation is not gone on with: what its installer said last is over.
pub(super) fn installation_dropped(new: &mut MachineStatus) {
    new.conditions.retain(|it| it.type_ != condition::REPAVED || it.status == "True");
}

/// A reinstallation begins: resets what the previous one left in the status.
pub(super) fn installation_begins(new: &mut MachineStatus) {
    remove(new, condition::CLOUD_INIT_DONE);
    remove(new, condition::REPAVED);
}

pub(super) fn installation_pending(new: &mut MachineStatus, seen: &Observation<'_>) {
    let message = image_of(seen.machine);
    let (type_, reason) = (condition::REPAVED, "Pending");
    set(new, Fact { type_, holds: false, reason, message: &message }, seen);
}

/// The reason of the condition `Repaved` while the installer says that it cannot go on.
pub(super) const INSTALL_FAILED: &str = "InstallFailed";

/// The installer's own message.
pub(super) fn installing(
    new: &mut MachineStatus,
    machine: &Machine,
    (reason, message): (&str, &str),
    now: Timestamp,
) {
    let fact = Fact { type_: condition::REPAVED, holds: false, reason, message };
    conditions::set(&mut new.conditions, fact, machine.metadata.generation, now);
}

/// Why the installer cannot continue, according to its last report.
pub(super) fn installer_failure(status: &MachineStatus) -> Option<&str> {
    let mut conditions = status.conditions.iter();
    let it = conditions.find(|it| it.type_ == condition::REPAVED)?;
    (it.status == "False" && it.reason == INSTALL_FAILED).then_some(it.message.as_str())
}

pub(super) fn installation_done(new: &mut MachineStatus, machine: &Machine, now: Timestamp) {
    remove(new, condition::POWERED_OFF);
    let (type_, reason, message) = (condition::REPAVED, "Succeeded", image_of(machine));
    let fact = Fact { type_, holds: true, reason, message: &message };
    conditions::set(&mut new.conditions, fact, machine.metadata.generation, now);
}

/// It has failed, and is not retried.
pub(super) fn gave_up(new: &mut MachineStatus, seen: &Observation<'_>, reason: &str) {
    remove(new, condition::POWERED_OFF);
    let current = new.operations.as_ref().and_then(|it| it.current.as_ref());
    if current.is_some_and(|current| current.repave_counter.is_some()) {
        let message = image_of(seen.machine);
        set(new, Fact { type_: condition::REPAVED, holds: false, reason, message: &message }, seen);
    }
}

/// The outcome of a previous attempt says nothing about a new operation.
pub(super) fn forget_outcome(new: &mut MachineStatus) {
    let current = new.operations.as_mut().and_then(|it| it.current.as_mut());
    if let Some(current) = current.filter(|current| current.attempt == 1) {
        (current.reason, current.message) = (None, None);
    }
}

/// Sets the condition whether the BMC supports setting the boot source.
pub(super) fn boot_source(
    new: &mut MachineStatus,
    seen: &Observation<'_>,
    is_set: Result<(), &str>,
) {
    let (holds, reason, message) = match is_set {
        Ok(()) => (true, "Supported", ""),
        Err(why) => (false, "NotSupported", why),
    };
    let type_ = condition::BOOT_ORDER_CONFIG_SUPPORTED;
    // The condition is absent if it always did.
    if !holds || new.conditions.iter().any(|it| it.type_ == type_) {
        set(new, Fact { type_, holds, reason, message }, seen);
    }
}

/// Whether nothing is known against the BMC having set the boot source.
pub(super) fn is_boot_source_set(status: &MachineStatus) -> bool {
    let type_ = condition::BOOT_ORDER_CONFIG_SUPPORTED;
    !status.conditions.iter().any(|it| it.type_ == type_ && it.status == "False")
}

/// Whether the BMC had no usable response when it was last needed.
pub(super) fn is_unreachable(status: &MachineStatus) -> bool {
    status.conditions.iter().any(|it| it.type_ == condition::BMC_REACHABLE && it.status == "False")
}

/// Sets the condition whether the BMC is reachable.
pub(super) fn reachable(
    new: &mut MachineStatus,
    seen: &Observation<'_>,
    answers: Result<(), (&str, &str)>,
) {
    let (holds, reason, message) = match answers {
        Ok(()) => (true, "Answers", ""),
        Err((reason, message)) => (false, reason, message),
    };
    let fact = Fact { type_: condition::BMC_REACHABLE, holds, reason, message };
    if reason == lockout::REASON {
        // When the credentials are tried again counts from there.
        let generation = seen.machine.metadata.generation;
        conditions::set_from_reason(&mut new.conditions, fact, generation, seen.now);
    } else {
        set(new, fact, seen);
    }
}
