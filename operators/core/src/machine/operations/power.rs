//! A host is switched off, and on again: ask, wait, cut the power, read back.

use super::{
    super::Observation, Change, Decision, GRACE, POLL, POWER, REFUSALS, TIDY, act, bmc::system,
    drain, report, step,
};
use crate::redfish::{
    BootEnabled, BootMode, BootReading, BootSource, PowerState, ResetType, Step, SystemReading,
};
use jiff::SignedDuration;
use metal_api::{MachineOperationStep, MachineStatus};

const FROM_NETWORK: BootSource = BootSource::Pxe;
const NO_OVERRIDE: Step = Step::BootOnce { source: BootSource::None, mode: None };
/// How soon a request is sent again that has had no effect.
const AGAIN: SignedDuration = SignedDuration::from_secs(30);

/// Switches the host off.
pub(super) fn off(new: &mut MachineStatus, seen: &Observation<'_>) -> Option<Decision> {
    let system = match system(new, seen) {
        Ok(system) => system,
        Err(decision) => return Some(decision),
    };
    if system.power == PowerState::Off {
        return is_off(new, seen, system);
    }
    report::powering_off(new, seen);
    let done = seen.known.done;
    let has_failed = done.forced.is_some_and(|ago| ago >= POWER);
    if has_failed || (done.forced.is_none() && done.refusals >= 2 * REFUSALS) {
        let message = "the BMC accepted a forced power-off, but the host is still on".to_owned();
        step::fail(new, seen, ("PowerOffFailed", message));
        return None;
    }
    let can_ask = allows(&system.reset_types, &ResetType::GracefulShutdown);
    let is_asked = done.asked.is_some() || done.refusals >= REFUSALS;
    let has_had_its_time = done.asked.map_or(is_asked, |ago| ago >= GRACE);
    let next = if done.forced.is_some() || !can_ask || has_had_its_time {
        ResetType::ForceOff
    } else {
        ResetType::GracefulShutdown
    };
    let forces = next == ResetType::ForceOff;
    let is_sent = if forces { done.forced.is_some() } else { done.asked.is_some() };
    // Nobody cuts the power of a host without knowing that it has any, or asks one that is going down.
    let waits = matches!(system.power, PowerState::Unknown)
        || (system.power == PowerState::PoweringOff && !forces)
        || (is_sent && done.last.is_some_and(|ago| ago < AGAIN));
    let repeats = !is_sent || forces;
    Some(if waits || !repeats { Decision::Rest(POLL) } else { act(Step::Reset(next)) })
}

/// The host is off: what was its Node is none any more if it is to be overwritten.
fn is_off(
    new: &mut MachineStatus,
    seen: &Observation<'_>,
    system: &SystemReading,
) -> Option<Decision> {
    let current = step::current(new)?;
    let installs = current.repave_counter.is_some();
    if installs && drain::node(seen).is_some() {
        return Some(Decision::Change(Change::DeleteNode));
    }
    // What boots from the network anyhow is somebody's wish, and stays as it is.
    current.boot_override |= installs && !boots_from_network_always(&system.boot);
    report::is_off(new, seen, "ForceOff");
    if installs {
        report::installation_begins(new);
    }
    step::go_to(new, seen, MachineOperationStep::PoweringOn);
    None
}

/// Switches the host on, from the network where it is to be installed.
pub(super) fn on(new: &mut MachineStatus, seen: &Observation<'_>) -> Option<Decision> {
    let system = match system(new, seen) {
        Ok(system) => system,
        Err(decision) => return Some(decision),
    };
    match system.power {
        PowerState::On | PowerState::Paused => {
            is_on(new, seen);
            return None;
        }
        PowerState::PoweringOn
        | PowerState::PoweringOff
        | PowerState::Unknown
        | PowerState::Off => {}
    }
    let done = seen.known.done;
    if done.on.is_some_and(|ago| ago >= POWER) || done.refusals >= 2 * REFUSALS {
        let message = "the BMC accepted a power-on, but the host is still off".to_owned();
        step::fail(new, seen, ("PowerOnFailed", message));
        return None;
    }
    if system.power != PowerState::Off {
        return Some(Decision::Rest(POLL));
    }
    if let (Some(step), None) = (arm(new, seen, system), done.on) {
        return Some(act(step));
    }
    report::is_off(new, seen, "PoweringOn");
    let waits = done.on.is_some() && done.last.is_some_and(|ago| ago < AGAIN);
    Some(if waits { Decision::Rest(POLL) } else { act(Step::Reset(ResetType::On)) })
}

/// The host is on: it was rebooted, and where it is to be installed, that has begun.
fn is_on(new: &mut MachineStatus, seen: &Observation<'_>) {
    step::rebooted(new);
    report::is_on(new);
    if step::current(new).is_some_and(|current| current.repave_counter.is_some()) {
        report::installation_pending(new, seen);
        step::go_to(new, seen, MachineOperationStep::Installing);
    } else {
        step::end(new);
    }
}

/// What sets the boot source, unless it is set, or cannot be. A BMC may still show one that was used
/// up, so it is set at least once.
fn arm(new: &mut MachineStatus, seen: &Observation<'_>, system: &SystemReading) -> Option<Step> {
    if !step::current(new)?.boot_override {
        return None;
    }
    let done = seen.known.done;
    if !allows(&system.boot.allowable, &FROM_NETWORK) {
        let offered: Vec<_> = system.boot.allowable.iter().map(ToString::to_string).collect();
        let message = format!("the BMC only allows to boot from {}", offered.join(", "));
        report::boot_source(new, seen, Err(&message));
        return None;
    }
    let is_set = done.arms > 0 && is_from_network(&system.boot);
    if is_set {
        report::boot_source(new, seen, Ok(()));
        return None;
    }
    if done.arms >= REFUSALS {
        report::boot_source(
            new,
            seen,
            Err("the BMC accepted a one-time boot from Pxe, but does not report it"),
        );
        return None;
    }
    let uefi = system.boot.mode.is_some() && allows(&system.boot.allowable_modes, &BootMode::Uefi);
    Some(Step::BootOnce { source: FROM_NETWORK, mode: uefi.then_some(BootMode::Uefi) })
}

/// Takes the boot source away that was set for an operation that is over. `None` if there is none.
pub(super) fn tidy(new: &mut MachineStatus, seen: &Observation<'_>) -> Option<Decision> {
    let current = step::current(new)?;
    if !current.boot_override {
        return None;
    }
    let age = seen.now.duration_since(current.since.0);
    let is_tried = seen.known.done.arms >= REFUSALS || age >= TIDY;
    if !is_tried {
        match system(new, seen) {
            Ok(system) if is_from_network(&system.boot) => return Some(act(NO_OVERRIDE)),
            Ok(_) => {}
            Err(decision) => return Some(decision),
        }
    }
    if let Some(current) = step::current(new) {
        current.boot_override = false;
    }
    None
}

fn is_from_network(boot: &BootReading) -> bool {
    boot.enabled != BootEnabled::Disabled && boot.target == Some(FROM_NETWORK)
}

fn boots_from_network_always(boot: &BootReading) -> bool {
    boot.enabled == BootEnabled::Continuous && boot.target == Some(FROM_NETWORK)
}

/// Whether a list of allowable values has this one; a BMC that lists nothing allows everything.
fn allows<T: PartialEq>(allowable: &[T], wanted: &T) -> bool {
    allowable.is_empty() || allowable.contains(wanted)
}
