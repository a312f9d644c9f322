//! Servers that a claim holds, and servers that it has released.

use super::{
    Change, ClaimSeen, Decision, Need, Observation,
    available::{came_up_by_itself, is_new, locator_led, wait_for_off},
    boot, bound_claim, media,
    power::{Force, intend, may_come_up, poll, switch_off, unless_certainly_off, unless_fresh},
    status::{self, is_current},
    turn::Turn,
    window,
};
use crate::redfish::{PowerState, SystemReading};
use jiff::SignedDuration;
use metal_api::{
    BootState, PendingKind, Power, ReclaimPolicy, Server, ServerBootConfiguration, ServerClaim,
    ServerState, annotation,
};

/// What to do about a host that may have booted for its claim, or for nobody.
const UNEXPLAINED: &str = "the host is on, but not known to have booted for its claim: it came up \
                           by itself while nobody watched, or was booted after the backup that was \
                           restored; if it is the claim's, annotate with \
                           metal.ironcore.dev/operation=retry to keep it, else power it off by \
                           hand, and it is booted for the claim";

/// `Reserved`: the power state follows the claim. The power of a tenant's host is cut only if
/// [`super::Settings::enforce_power_off`] allows it.
pub(super) fn reserved(turn: &mut Turn<'_>, system: &SystemReading) -> Decision {
    match turn.seen.claim {
        ClaimSeen::Unclaimed => become_available(turn, system),
        ClaimSeen::Holds(claim) => {
            bound_claim::bound(&mut turn.new, turn.seen.server, claim, turn.seen.now);
            match adoption(turn.seen, claim) {
                Some(adopt) => Decision::Change(adopt),
                None => held(turn, system, claim),
            }
        }
        ClaimSeen::NotCached => Decision::Look(Need::Claim),
        ClaimSeen::Gone if bound_claim::was_bound(&turn.new, turn.seen.server) => {
            leave(turn, system)
        }
        ClaimSeen::Gone => {
            let message = "the claim in spec.serverClaimRef does not exist, and was never seen \
                           bound to this server: restore the claim, or clear the reference";
            turn.rests("ClaimMissing", message)
        }
    }
}

/// No claim refers to the server any longer.
fn become_available(turn: &mut Turn<'_>, system: &SystemReading) -> Decision {
    // A claim that is waiting for a server takes one that is recorded as off.
    if system.power == PowerState::Off
        && let Some(wait) = may_come_up(turn.seen)
    {
        wait_for_off(turn, system);
        return wait;
    }
    bound_claim::unbound(&mut turn.new);
    turn.new.state = Some(ServerState::Available);
    turn.new.pending = None;
    Decision::Rest(SignedDuration::ZERO)
}

/// Whether somebody works on the server, outside of the claim lifecycle.
pub(crate) fn is_parked(server: &Server) -> bool {
    let mark = server.metadata.annotations.as_ref().and_then(|all| all.get(annotation::PARKED));
    mark.is_some_and(|mark| mark == annotation::TRUE)
}

/// A server whose claim exists is `Reserved`, whatever its BMC reports or does not report. Its
/// power is left alone until the BMC answers.
pub(super) fn by_facts(turn: &mut Turn<'_>) {
    let ClaimSeen::Holds(claim) = turn.seen.claim else { return };
    if is_new(turn) || is_parked(turn.seen.server) {
        return;
    }
    match turn.new.state.as_ref().unwrap_or(&ServerState::Initial) {
        ServerState::Initial
        | ServerState::Discovery
        | ServerState::Available
        | ServerState::Error
        | ServerState::Other(_) => {
            turn.new.state = Some(ServerState::Reserved);
            turn.new.pending = None;
            bound_claim::bound(&mut turn.new, turn.seen.server, claim, turn.seen.now);
        }
        ServerState::Reserved => {
            bound_claim::bound(&mut turn.new, turn.seen.server, claim, turn.seen.now);
        }
        ServerState::Released | ServerState::Parked | ServerState::Maintenance => {}
    }
}

/// The claim is gone, and the host cannot be reached to power it off, so nothing is gained by
/// keeping the reference. Nobody gets the server before its BMC has reported it off.
pub(super) fn abandoned(turn: &mut Turn<'_>) -> Option<Decision> {
    if turn.new.state != Some(ServerState::Reserved) {
        return None;
    }
    let was_bound = bound_claim::was_bound(&turn.new, turn.seen.server);
    match turn.seen.claim {
        ClaimSeen::Unclaimed => {
            bound_claim::unbound(&mut turn.new);
            turn.new.state = Some(ServerState::Available);
            turn.new.pending = None;
            None
        }
        ClaimSeen::NotCached if was_bound => Some(Decision::Look(Need::Claim)),
        ClaimSeen::Gone if was_bound => {
            if turn.seen.server.spec.boot_configuration_ref.is_some() {
                return Some(Decision::Change(Change::DropConfiguration));
            }
            match turn.seen.server.spec.reclaim_policy {
                Some(ReclaimPolicy::Retain) => {
                    turn.new.state = Some(ServerState::Released);
                    turn.new.pending = None;
                    None
                }
                Some(ReclaimPolicy::Recycle) | None => Some(Decision::Change(Change::ReleaseClaim)),
            }
        }
        ClaimSeen::Holds(_) | ClaimSeen::NotCached | ClaimSeen::Gone => None,
    }
}

/// The change by which a claim is adopted that holds the server, but has another UID than the
/// reference.
fn adoption(seen: &Observation<'_>, claim: &ServerClaim) -> Option<Change> {
    let known = seen.server.spec.server_claim_ref.as_ref()?.uid.as_ref()?;
    let uid = claim.metadata.uid.clone().filter(|uid| uid != known)?;
    Some(Change::AdoptClaim { uid })
}

/// Whether a host is on that was recorded as off and not booted yet, and that this process has
/// never seen off: so it cannot tell one that came up by itself from one that a predecessor booted
/// after the backup from which the status was restored.
pub(super) fn is_unexplained(turn: &Turn<'_>, system: &SystemReading) -> bool {
    let is_on = !matches!(system.power, PowerState::Off | PowerState::Unknown);
    is_on && !turn.seen.was_off && came_up_by_itself(turn)
}

fn held(turn: &mut Turn<'_>, system: &SystemReading, claim: &ServerClaim) -> Decision {
    if matches!(system.power, PowerState::On | PowerState::PoweringOn)
        && let Some(configuration) = configuration_of(turn.seen, claim)
    {
        window::pass_on(turn, configuration);
        window::reopen(turn, system, configuration);
    }
    if claim.spec.power == Power::On && is_unexplained(turn, system) {
        return turn.rests("HostRunning", UNEXPLAINED);
    }
    let force = Force::when(turn.settings.enforce_power_off);
    if came_up_by_itself(turn)
        && let Some(next) = switch_off(turn, system, force)
    {
        wait_for_off(turn, system);
        // Nothing else in the status shows it.
        let is_told = status::is_waiting(turn.seen.server, "WaitingForPowerOff");
        return if is_told { next } else { Decision::Rest(poll(turn.seen, turn.settings)) };
    }
    match (&claim.spec.power, system.power) {
        (Power::On, PowerState::Off) => switch_on(turn, system, claim),
        (Power::Off, power) if power != PowerState::Off => {
            wait_for_off(turn, system);
            switch_off(turn, system, force)
                .unwrap_or(Decision::Rest(poll(turn.seen, turn.settings)))
        }
        (Power::On, PowerState::PoweringOn | PowerState::PoweringOff) => {
            turn.waits("WaitingForPowerOn", "the host is changing its power state");
            Decision::Rest(poll(turn.seen, turn.settings))
        }
        (Power::On, PowerState::Paused | PowerState::Unknown) => {
            turn.rests("HostPaused", "the host is paused: resume it at its BMC")
        }
        (Power::On | Power::Off, _) => has_its_power(turn, system),
        (Power::Other(power), _) => {
            let message = format!("spec.power of the claim is {power:?}: set On or Off");
            turn.rests("UnknownPower", &message)
        }
    }
}

/// The host has the power state that its claim wants.
fn has_its_power(turn: &mut Turn<'_>, system: &SystemReading) -> Decision {
    turn.new.pending = None;
    turn.ready();
    let led = locator_led(turn.seen, system);
    let medium = match system.power {
        PowerState::Off => media::eject(turn),
        PowerState::On
        | PowerState::PoweringOn
        | PowerState::PoweringOff
        | PowerState::Paused
        | PowerState::Unknown => media::eject_later(turn, system),
    };
    led.or(medium).unwrap_or(Decision::Rest(turn.settings.resync))
}

fn switch_on(turn: &mut Turn<'_>, system: &SystemReading, claim: &ServerClaim) -> Decision {
    let Some(configuration) = configuration_of(turn.seen, claim) else {
        let message = "creating the boot configuration of the claim";
        return turn.rests("WaitingForBootConfiguration", message);
    };
    match status::configuration_state(configuration) {
        BootState::Ready => {
            let wait = boot::unidentified(turn, system, Some(configuration));
            if let Some(wait) = wait.or_else(|| unless_certainly_off(turn)) {
                return wait;
            }
            intend(turn, PendingKind::NetworkBoot);
            match boot::start(turn, system, configuration) {
                Ok(decision) => {
                    turn.waits("WaitingForPowerOn", "booting the image of the claim");
                    decision
                }
                Err(why) => turn.rests("NoBootSource", &why),
            }
        }
        BootState::Error => {
            let why = status::configuration_error(configuration);
            turn.rests("BootConfigurationError", &why)
        }
        BootState::Pending | BootState::Other(_) => {
            let why = status::configuration_pending(configuration);
            turn.rests("WaitingForBootConfiguration", &why)
        }
    }
}

/// The claim's own boot configuration, if the server refers to it and it matches the claim.
fn configuration_of<'a>(
    seen: &Observation<'a>,
    claim: &ServerClaim,
) -> Option<&'a ServerBootConfiguration> {
    let meta = |configuration: &&ServerBootConfiguration| {
        let (ours, theirs) = (&configuration.metadata, &claim.metadata);
        ours.name == theirs.name
            && ours.namespace == theirs.namespace
            && is_current(configuration, claim, seen.server)
    };
    seen.configuration.filter(meta)
}

/// The claim is gone: power off first, then release.
fn leave(turn: &mut Turn<'_>, system: &SystemReading) -> Decision {
    wait_for_off(turn, system);
    let force = Force::when(turn.settings.enforce_power_off);
    let off = switch_off(turn, system, force);
    if turn.seen.server.spec.boot_configuration_ref.is_some() {
        return Decision::Change(Change::DropConfiguration);
    }
    let may_be_on = || unless_fresh(turn.seen).or_else(|| may_come_up(turn.seen));
    if let Some(next) = off.or_else(may_be_on).or_else(|| media::eject(turn)) {
        return next;
    }
    match turn.seen.server.spec.reclaim_policy {
        Some(ReclaimPolicy::Retain) => {
            turn.new.state = Some(ServerState::Released);
            turn.new.pending = None;
            let message = "clear spec.serverClaimRef to make the server available again";
            turn.waits("Released", message);
            Decision::Rest(SignedDuration::ZERO)
        }
        Some(ReclaimPolicy::Recycle) | None => Decision::Change(Change::ReleaseClaim),
    }
}

/// `Released`: off, and kept that way until a person clears `spec.serverClaimRef`.
pub(super) fn released(turn: &mut Turn<'_>, system: &SystemReading) -> Decision {
    if matches!(turn.seen.claim, ClaimSeen::Unclaimed) {
        return become_available(turn, system);
    }
    if matches!(turn.seen.claim, ClaimSeen::NotCached) {
        return Decision::Look(Need::Claim);
    }
    if matches!(turn.seen.claim, ClaimSeen::Holds(_)) {
        // The cache was behind, or somebody has restored the claim: its host is not ours to stop.
        turn.new.state = Some(ServerState::Reserved);
        turn.new.pending = None;
        return reserved(turn, system);
    }
    let force = Force::when(turn.settings.enforce_power_off);
    switch_off(turn, system, force).unwrap_or_else(|| {
        turn.new.pending = None;
        Decision::Rest(turn.settings.resync)
    })
}
