//! Powers a host off and on: shut down, wait, force off, read back.

use super::{
    super::Observation, Change, Decision, Outcome, POLL, REFUSALS, TIDY, act, bmc::system,
    own_node, report, step,
};
use jiff::SignedDuration;
use metal_api::{MachineOperationStep, MachineStatus};
use metal_core::redfish::{
    BootEnabled, BootMode, BootReading, BootSource, PowerState, ResetType, Step, SystemReading,
    allows,
};

/// Boot sources that lead to us, the preferred one first.
const FROM_NETWORK: [BootSource; 2] = [BootSource::Pxe, BootSource::UefiHttp];
const NO_OVERRIDE: Step = Step::BootOnce { source: BootSource::None, mode: None };
/// How soon a request without effect is repeated.
const AGAIN: SignedDuration = SignedDuration::from_secs(30);

/// Powers the host off.
pub(super) fn off(new: &mut MachineStatus, seen: &Observation<'_>) -> Option<Decision> {
    let system = match system(new, seen) {
        Ok(system) => system,
        Err(decision) => return Some(decision),
    };
    if system.power == PowerState::Off {
        return is_off(new, seen, system);
    }
    report::powering_off(new, seen);
    let (done, limits) = (seen.known.done, seen.known.limits);
    let has_failed = is_past(limits.power, done.forced_first.or(done.forced));
    if has_failed || (done.forced.is_none() && done.refusals >= 2 * REFUSALS) {
        let message = "a forced power-off was requested, but the host is still on".to_owned();
        step::fail(new, seen, ("PowerOffFailed", message));
        return None;
    }
    // The power button only works for a host that is on: one that is starting soon will be, and one that is
    // shutting down was asked already.
    let changes = matches!(system.power, PowerState::PoweringOn | PowerState::PoweringOff);
    let is_over = |ago| is_past(limits.shutdown, ago);
    let hangs = changes && (is_over(done.changing) || is_over(done.here));
    let can_ask = system.can_be_asked() || (changes && system.has_button());
    let is_asked = done.asked.is_some() || done.refusals >= REFUSALS;
    let is_hopeless = is_asked || (hangs && !asks(system));
    // A BMC that does not answer may have received it.
    let has_had_its_time = is_past(limits.shutdown, done.asked_first.or(done.asked))
        || (done.asked.is_none() && is_hopeless);
    let next = if done.forced.is_some() || !can_ask || has_had_its_time {
        ResetType::ForceOff
    } else {
        ResetType::GracefulShutdown
    };
    let forces = next == ResetType::ForceOff;
    let is_sent = if forces { done.forced.is_some() } else { done.asked.is_some() };
    // Only if the power state is known, and the host is not already shutting down.
    let waits = matches!(system.power, PowerState::Unknown)
        || (!asks(system) && !forces)
        || (is_sent && done.last.is_some_and(|ago| ago < AGAIN));
    let repeats = !is_sent || forces;
    Some(if waits || !repeats { Decision::Rest(POLL) } else { act(Step::Reset(next)) })
}

/// Whether it is of use to ask the host to shut down now.
fn asks(system: &SystemReading) -> bool {
    system.power != PowerState::PoweringOff && system.can_be_asked()
}

/// The host is off: if it will be reinstalled, its Node is deleted.
fn is_off(
    new: &mut MachineStatus,
    seen: &Observation<'_>,
    system: &SystemReading,
) -> Option<Decision> {
    let current = step::current(new)?;
    let installs = current.repave_counter.is_some();
    // One that is being deleted waits for somebody else, which the host does not.
    let node = own_node::node(seen).filter(|node| node.metadata.deletion_timestamp.is_none());
    if installs && node.is_some() {
        return Some(Decision::Change(Change::DeleteNode));
    }
    // If it boots from the network in any case, that is intentional, and is left as it is.
    current.boot_override |= installs && !boots_from_network_always(&system.boot);
    report::is_off(new, seen, "ForceOff");
    if installs {
        report::installation_begins(new);
    }
    step::go_to(new, seen, MachineOperationStep::PoweringOn);
    None
}

/// Powers the host on; from the network, if it is to be installed.
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
    let (done, limit) = (seen.known.done, seen.known.limits.power);
    let is_stuck = system.power != PowerState::Off
        && (is_past(limit, done.changing) || is_past(limit, done.here));
    let sent = done.on_first.or(done.on);
    if sent.map_or(is_stuck, |ago| ago >= limit) || done.refusals >= 2 * REFUSALS {
        let message = if system.power == PowerState::Off {
            "a power-on was requested, but the host is still off".to_owned()
        } else {
            format!("the host is to be on, but the BMC still reports {}", system.power)
        };
        step::fail(new, seen, ("PowerOnFailed", message));
        return None;
    }
    if system.power != PowerState::Off {
        return Some(Decision::Rest(POLL));
    }
    if let (Some(step), None) = (arm(new, seen, system), done.on) {
        return Some(act(step));
    }
    let is_armed = step::current(new).is_some_and(|current| current.boot_override);
    if is_armed && leads_elsewhere(&system.boot) {
        let message = "the host would boot from the HttpBootUri that is set in its BMC, which \
                       keeps it: clear it there";
        step::fail(new, seen, ("HttpBootUriSet", message.to_owned()));
        return None;
    }
    report::is_off(new, seen, "PoweringOn");
    let waits = done.on.is_some() && done.last.is_some_and(|ago| ago < AGAIN);
    Some(if waits { Decision::Rest(POLL) } else { act(Step::Reset(ResetType::On)) })
}

/// The host is on: the reboot is done, or the installation has begun.
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

/// Sets the boot source, unless it is set already, or not supported. A BMC may still show a
/// one-time override that was used up, so it is set at least once.
fn arm(new: &mut MachineStatus, seen: &Observation<'_>, system: &SystemReading) -> Option<Step> {
    if !step::current(new)?.boot_override {
        return None;
    }
    let done = seen.known.done;
    let source = FROM_NETWORK.into_iter().find(|it| allows(&system.boot.allowable, it));
    let Some(source) = source else {
        let offered: Vec<_> = system.boot.allowable.iter().map(ToString::to_string).collect();
        let message = format!("the BMC only allows to boot from {}", offered.join(", "));
        report::boot_source(new, seen, Err(&message));
        return None;
    };
    let is_refused = done.armed == Some(Outcome::Refused);
    let is_ours = is_from_network(&system.boot) && !leads_elsewhere(&system.boot);
    let is_set = done.arms > 0 && !is_refused && is_ours;
    if is_set {
        report::boot_source(new, seen, Ok(()));
        return None;
    }
    if done.arms >= REFUSALS {
        report::boot_source(new, seen, Err(&not_armed(done.armed, source)));
        return None;
    }
    let uefi = system.boot.mode.is_some() && allows(&system.boot.allowable_modes, &BootMode::Uefi);
    Some(Step::BootOnce { source, mode: uefi.then_some(BootMode::Uefi) })
}

/// Why the boot source is not set, according to the outcome of the last request.
fn not_armed(outcome: Option<Outcome>, source: BootSource) -> String {
    match outcome {
        Some(Outcome::Refused) => format!("the BMC refused a one-time boot from {source}"),
        Some(Outcome::Unknown) => {
            format!("the BMC gave no answer to a one-time boot from {source}")
        }
        Some(Outcome::Taken) | None => {
            format!("the BMC accepted a one-time boot from {source}, but does not report it")
        }
    }
}

/// Resets the boot source that was set for an operation that has ended. `None` if it is not set.
pub(super) fn tidy(new: &mut MachineStatus, seen: &Observation<'_>) -> Option<Decision> {
    let current = step::current(new)?;
    if !current.boot_override {
        return None;
    }
    // A clock may have been set back since.
    let age = seen.now.duration_since(current.since.0).abs();
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

/// Whether this was at least so long ago.
fn is_past(limit: SignedDuration, ago: Option<SignedDuration>) -> bool {
    ago.is_some_and(|ago| ago >= limit)
}

fn is_from_network(boot: &BootReading) -> bool {
    boot.enabled != BootEnabled::Disabled && boot.target.is_some_and(is_network)
}

/// Whether the next boot is from the network, and loads what somebody has once set in the BMC.
fn leads_elsewhere(boot: &BootReading) -> bool {
    is_from_network(boot) && boot.target.is_some_and(|target| boot.is_preset(target))
}

fn boots_from_network_always(boot: &BootReading) -> bool {
    boot.enabled == BootEnabled::Continuous && is_from_network(boot) && !leads_elsewhere(boot)
}

fn is_network(source: BootSource) -> bool {
    FROM_NETWORK.contains(&source)
}
