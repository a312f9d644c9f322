//! Servers that a claim holds, and servers that it has released.

use super::{
    Change, ClaimSeen, Decision, Need, Observation, Settings,
    available::{came_up_by_itself, is_new, locator_led, waits_for_off},
    boot, bound_claim, media,
    power::{Force, intend, may_come_up, poll, switch_off, unless_fresh},
    status::{self, Ready, is_current},
    window,
};
use crate::redfish::{PowerState, SystemReading};
use jiff::SignedDuration;
use metal_api::{
    BootState, PendingKind, Power, ReclaimPolicy, Server, ServerBootConfiguration, ServerClaim,
    ServerState, ServerStatus, annotation,
};

/// What to do about a host that may have booted for its claim, or for nobody.
const UNEXPLAINED: &str = "the host is on, but not known to have booted for its claim: it came up \
                           by itself while nobody watched, or was booted after the backup that was \
                           restored; if it is the claim's, annotate with \
                           metal.ironcore.dev/operation=retry to keep it, else power it off by \
                           hand, and it is booted for the claim";

/// `Reserved`: the power state follows the claim. The power of a tenant's host is cut only if
/// [`Settings::enforce_power_off`] allows it.
pub(super) fn reserved(
    new: &mut ServerStatus,
    seen: &Observation<'_>,
    settings: &Settings,
    system: &SystemReading,
) -> Decision {
    match seen.claim {
        ClaimSeen::Unclaimed => become_available(new, seen, settings, system),
        ClaimSeen::Holds(claim) => {
            bound_claim::bound(new, seen.server, claim, seen.now);
            match adoption(seen, claim) {
                Some(adopt) => Decision::Change(adopt),
                None => held(new, seen, settings, system, claim),
            }
        }
        ClaimSeen::NotCached => Decision::Look(Need::Claim),
        ClaimSeen::Gone if bound_claim::was_bound(new, seen.server) => {
            leave(new, seen, settings, system)
        }
        ClaimSeen::Gone => {
            let message = "the claim in spec.serverClaimRef does not exist, and was never seen \
                           bound to this server: restore the claim, or clear the reference";
            status::ready(new, Ready::Waits("ClaimMissing", message), seen.now);
            Decision::Rest(settings.resync)
        }
    }
}

/// No claim refers to the server any longer.
fn become_available(
    new: &mut ServerStatus,
    seen: &Observation<'_>,
    settings: &Settings,
    system: &SystemReading,
) -> Decision {
    // A claim that is waiting for a server takes one that is recorded as off.
    if system.power == PowerState::Off
        && let Some(wait) = may_come_up(seen)
    {
        status::ready(
            new,
            Ready::Waits("WaitingForPowerOff", waits_for_off(settings, system)),
            seen.now,
        );
        return wait;
    }
    bound_claim::unbound(new);
    new.state = Some(ServerState::Available);
    new.pending = None;
    Decision::Rest(SignedDuration::ZERO)
}

/// Whether somebody works on the server, outside of the claim lifecycle.
pub(super) fn is_parked(server: &Server) -> bool {
    let mark = server.metadata.annotations.as_ref().and_then(|all| all.get(annotation::PARKED));
    mark.is_some_and(|mark| mark == annotation::TRUE)
}

/// A server whose claim exists is `Reserved`, whatever its BMC reports or does not report. Its
/// power is left alone until the BMC answers.
pub(super) fn by_facts(new: &mut ServerStatus, seen: &Observation<'_>) {
    let ClaimSeen::Holds(claim) = seen.claim else { return };
    if is_new(new, seen) || is_parked(seen.server) {
        return;
    }
    match new.state.as_ref().unwrap_or(&ServerState::Initial) {
        ServerState::Initial
        | ServerState::Discovery
        | ServerState::Available
        | ServerState::Error
        | ServerState::Other(_) => {
            new.state = Some(ServerState::Reserved);
            new.pending = None;
            bound_claim::bound(new, seen.server, claim, seen.now);
        }
        ServerState::Reserved => bound_claim::bound(new, seen.server, claim, seen.now),
        ServerState::Released | ServerState::Parked | ServerState::Maintenance => {}
    }
}

/// The claim is gone, and the host cannot be reached to power it off, so nothing is gained by
/// keeping the reference. Nobody gets the server before its BMC has reported it off.
pub(super) fn abandoned(new: &mut ServerStatus, seen: &Observation<'_>) -> Option<Decision> {
    if new.state != Some(ServerState::Reserved) {
        return None;
    }
    let was_bound = bound_claim::was_bound(new, seen.server);
    match seen.claim {
        ClaimSeen::Unclaimed => {
            bound_claim::unbound(new);
            new.state = Some(ServerState::Available);
            new.pending = None;
            None
        }
        ClaimSeen::NotCached if was_bound => Some(Decision::Look(Need::Claim)),
        ClaimSeen::Gone if was_bound => {
            if seen.server.spec.boot_configuration_ref.is_some() {
                return Some(Decision::Change(Change::DropConfiguration));
            }
            match seen.server.spec.reclaim_policy {
                Some(ReclaimPolicy::Retain) => {
                    new.state = Some(ServerState::Released);
                    new.pending = None;
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
pub(super) fn is_unexplained(
    new: &ServerStatus,
    seen: &Observation<'_>,
    system: &SystemReading,
) -> bool {
    let is_on = !matches!(system.power, PowerState::Off | PowerState::Unknown);
    is_on && !seen.was_off && came_up_by_itself(new, seen)
}

fn held(
    new: &mut ServerStatus,
    seen: &Observation<'_>,
    settings: &Settings,
    system: &SystemReading,
    claim: &ServerClaim,
) -> Decision {
    if matches!(system.power, PowerState::On | PowerState::PoweringOn)
        && let Some(configuration) = configuration_of(seen, claim)
    {
        window::reopen(new, seen, settings, system, configuration);
    }
    if claim.spec.power == Power::On && is_unexplained(new, seen, system) {
        status::ready(new, Ready::Waits("HostRunning", UNEXPLAINED), seen.now);
        return Decision::Rest(settings.resync);
    }
    if came_up_by_itself(new, seen)
        && let Some(next) =
            switch_off(new, seen, settings, system, Force::when(settings.enforce_power_off))
    {
        status::ready(
            new,
            Ready::Waits("WaitingForPowerOff", waits_for_off(settings, system)),
            seen.now,
        );
        // Nothing else in the status shows it.
        let is_told = status::is_waiting(seen.server, "WaitingForPowerOff");
        return if is_told { next } else { Decision::Rest(poll(seen, settings)) };
    }
    match (&claim.spec.power, system.power) {
        (Power::On, PowerState::Off) => switch_on(new, seen, settings, system, claim),
        (Power::Off, power) if power != PowerState::Off => {
            let waits = Ready::Waits("WaitingForPowerOff", waits_for_off(settings, system));
            status::ready(new, waits, seen.now);
            let force = Force::when(settings.enforce_power_off);
            switch_off(new, seen, settings, system, force)
                .unwrap_or(Decision::Rest(poll(seen, settings)))
        }
        (Power::On, PowerState::PoweringOn | PowerState::PoweringOff) => {
            let waits = Ready::Waits("WaitingForPowerOn", "the host is changing its power state");
            status::ready(new, waits, seen.now);
            Decision::Rest(poll(seen, settings))
        }
        (Power::On, PowerState::Paused | PowerState::Unknown) => {
            let waits = Ready::Waits("HostPaused", "the host is paused: resume it at its BMC");
            status::ready(new, waits, seen.now);
            Decision::Rest(settings.resync)
        }
        (Power::On | Power::Off, _) => {
            new.pending = None;
            status::ready(new, Ready::Yes, seen.now);
            let led = locator_led(seen, system);
            let medium = match system.power {
                PowerState::Off => media::eject(new, seen),
                PowerState::On
                | PowerState::PoweringOn
                | PowerState::PoweringOff
                | PowerState::Paused
                | PowerState::Unknown => media::eject_later(new, seen, system),
            };
            led.or(medium).unwrap_or(Decision::Rest(settings.resync))
        }
        (Power::Other(power), _) => {
            let message = format!("spec.power of the claim is {power:?}: set On or Off");
            status::ready(new, Ready::Waits("UnknownPower", &message), seen.now);
            Decision::Rest(settings.resync)
        }
    }
}

fn switch_on(
    new: &mut ServerStatus,
    seen: &Observation<'_>,
    settings: &Settings,
    system: &SystemReading,
    claim: &ServerClaim,
) -> Decision {
    let wait = |new: &mut ServerStatus, reason, message: &str| {
        status::ready(new, Ready::Waits(reason, message), seen.now);
        Decision::Rest(settings.resync)
    };
    let Some(configuration) = configuration_of(seen, claim) else {
        let message = "creating the boot configuration of the claim";
        return wait(new, "WaitingForBootConfiguration", message);
    };
    match status::configuration_state(configuration) {
        BootState::Ready => {
            let boots = Some(configuration);
            if let Some(rest) = boot::unidentified(new, seen, settings, system, boots) {
                return rest;
            }
            intend(new, PendingKind::NetworkBoot, seen.now);
            match boot::start(new, seen, settings, system, configuration) {
                Ok(decision) => {
                    let waits = Ready::Waits("WaitingForPowerOn", "booting the image of the claim");
                    status::ready(new, waits, seen.now);
                    decision
                }
                Err(why) => wait(new, "NoBootSource", &why),
            }
        }
        BootState::Error => {
            let why = status::configuration_error(configuration);
            wait(new, "BootConfigurationError", &why)
        }
        BootState::Pending | BootState::Other(_) => wait(
            new,
            "WaitingForBootConfiguration",
            "the boot configuration of the claim is not Ready",
        ),
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
fn leave(
    new: &mut ServerStatus,
    seen: &Observation<'_>,
    settings: &Settings,
    system: &SystemReading,
) -> Decision {
    status::ready(
        new,
        Ready::Waits("WaitingForPowerOff", waits_for_off(settings, system)),
        seen.now,
    );
    let force = Force::when(settings.enforce_power_off);
    let off = switch_off(new, seen, settings, system, force);
    if seen.server.spec.boot_configuration_ref.is_some() {
        return Decision::Change(Change::DropConfiguration);
    }
    let may_be_on = || unless_fresh(seen).or_else(|| may_come_up(seen));
    if let Some(next) = off.or_else(may_be_on).or_else(|| media::eject(new, seen)) {
        return next;
    }
    match seen.server.spec.reclaim_policy {
        Some(ReclaimPolicy::Retain) => {
            new.state = Some(ServerState::Released);
            new.pending = None;
            let message = "clear spec.serverClaimRef to make the server available again";
            status::ready(new, Ready::Waits("Released", message), seen.now);
            Decision::Rest(SignedDuration::ZERO)
        }
        Some(ReclaimPolicy::Recycle) | None => Decision::Change(Change::ReleaseClaim),
    }
}

/// `Released`: off, and kept that way until a person clears `spec.serverClaimRef`.
pub(super) fn released(
    new: &mut ServerStatus,
    seen: &Observation<'_>,
    settings: &Settings,
    system: &SystemReading,
) -> Decision {
    if matches!(seen.claim, ClaimSeen::Unclaimed) {
        return become_available(new, seen, settings, system);
    }
    if matches!(seen.claim, ClaimSeen::NotCached) {
        return Decision::Look(Need::Claim);
    }
    if matches!(seen.claim, ClaimSeen::Holds(_)) {
        // The cache was behind, or somebody has restored the claim: its host is not ours to stop.
        new.state = Some(ServerState::Reserved);
        new.pending = None;
        return reserved(new, seen, settings, system);
    }
    let force = Force::when(settings.enforce_power_off);
    switch_off(new, seen, settings, system, force).unwrap_or_else(|| {
        new.pending = None;
        Decision::Rest(settings.resync)
    })
}
