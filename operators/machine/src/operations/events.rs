//! Events about operations: the changes of a status that a person should know of.

use super::report::{WHY_ADOPTED, reason_of, what};
use metal_api::{
    MachineOperation, MachineOperationStep, MachineRequested, MachineStatus, condition,
};

/// Whether it is an expected change, a reason and a note.
pub type News = (bool, String, String);

/// The events for a change of the status.
pub fn news(old: &MachineStatus, new: &MachineStatus) -> Vec<News> {
    let mut all: Vec<_> = adoption(old, new).into_iter().collect();
    if is_repaved(new) && !is_repaved(old) {
        let was_given_up =
            old.operations.as_ref().and_then(|it| it.current.as_ref()).is_some_and(is_given_up);
        let note = if was_given_up {
            "a person vouches for it"
        } else {
            "its Node was made after its installer wrote to the disk"
        };
        all.push((true, "Repaved".to_owned(), note.to_owned()));
    }
    all.extend(step(old, new));
    if all.is_empty() {
        all.extend(differs(old, new));
    }
    all
}

fn is_given_up(current: &MachineOperation) -> bool {
    current.step == MachineOperationStep::Failed
}

/// The operation has entered its next step, or ended.
fn step(old: &MachineStatus, new: &MachineStatus) -> Option<News> {
    let current = |status: &MachineStatus| status.operations.clone().and_then(|it| it.current);
    let (before, after) = (current(old), current(new));
    let key = |it: &MachineOperation| (it.step.clone(), it.attempt);
    match (&before, &after) {
        (Some(before), None) => ended(before, new),
        (before, Some(after)) if before.as_ref().map(key) != Some(key(after)) => {
            let is_next = before.as_ref().is_some_and(|before| before.attempt < after.attempt);
            let failed = after.step == MachineOperationStep::Failed;
            let why = after.message.clone().filter(|_| is_next || failed);
            let note = match why {
                Some(why) => format!("{}: {why}", what(after)),
                None => what(after),
            };
            let reason =
                if is_next { reason_of(after).to_owned() } else { after.step.as_str().to_owned() };
            Some((!is_next && !failed, reason, note))
        }
        _ => None,
    }
}

/// It is done, or was dropped before. The failures were reported when they occurred.
fn ended(before: &MachineOperation, new: &MachineStatus) -> Option<News> {
    let done = new.operations.as_ref()?;
    let is_counted = done.reboot_counter >= before.reboot_counter
        && done.repave_counter >= before.repave_counter;
    match before.step {
        MachineOperationStep::Failed => None,
        MachineOperationStep::PoweringOn
        | MachineOperationStep::Installing
        | MachineOperationStep::Finishing
            if is_counted =>
        {
            Some((true, "OperationDone".to_owned(), what(before)))
        }
        MachineOperationStep::Draining
        | MachineOperationStep::PoweringOff
        | MachineOperationStep::PoweringOn
        | MachineOperationStep::Installing
        | MachineOperationStep::Finishing
        | MachineOperationStep::Other(_) => {
            Some((false, "OperationDropped".to_owned(), what(before)))
        }
    }
}

/// Counters were adopted: they were not seen before, and count as done. While an operation is in progress,
/// no condition says so.
fn adoption(old: &MachineStatus, new: &MachineStatus) -> Option<News> {
    let (before, after) = (old.operations.as_ref()?, new.operations.as_ref()?);
    let (was, is) = (before.requested.as_ref()?, after.requested.as_ref()?);
    // The installation that is under way goes on.
    let current = after.current.as_ref().filter(|it| !is_given_up(it));
    let under_way = current.and_then(|it| it.repave_counter);
    let is_done = after.reboot_counter >= is.reboot_counter
        && (after.repave_counter >= is.repave_counter || under_way == is.repave_counter);
    // By hand, an installation may end in the same pass.
    let is_installed = is_repaved(new) && !is_repaved(old);
    let is_adopted = rises(was, is) && is_done && !is_installed;
    is_adopted.then(|| (false, "CountersAdopted".to_owned(), WHY_ADOPTED.to_owned()))
}

/// Whether a counter rises.
fn rises(before: &MachineRequested, now: &MachineRequested) -> bool {
    now.reboot_counter.unwrap_or(0) > before.reboot_counter.unwrap_or(0)
        || now.repave_counter.unwrap_or(0) > before.repave_counter.unwrap_or(0)
}

fn is_repaved(status: &MachineStatus) -> bool {
    status.conditions.iter().any(|it| it.type_ == condition::REPAVED && it.status == "True")
}

/// The BMC presented a certificate other than the pinned one.
fn differs(old: &MachineStatus, new: &MachineStatus) -> Option<(bool, String, String)> {
    let why = |status: &MachineStatus| {
        let it = status.conditions.iter().find(|it| it.type_ == condition::BMC_REACHABLE)?;
        (it.status == "False").then(|| (it.reason.clone(), it.message.clone()))
    };
    let (reason, message) = why(new)?;
    let is_news = why(old).is_none_or(|(before, _)| before != reason);
    is_news.then_some((false, reason, message))
}
