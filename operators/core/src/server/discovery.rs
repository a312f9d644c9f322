//! From an unknown server to one that may be claimed.

use super::{
    Change, Decision, Need, Observation, Settings,
    attempt::{self, is_prepared},
    available::waits_for_off,
    boot, boot_id, media,
    power::{Force, intend, off, poll, switch_off, switched_on},
    repetition::is_switched_on_here,
    status::{self, Ready},
    window,
};
use crate::{
    redfish::{PowerState, SystemReading},
    report::InventorySummary,
};
use jiff::{SignedDuration, Timestamp};
use metal_api::{
    BootState, Discovery, Operation, PendingKind, ServerBootConfiguration, ServerState,
    ServerStatus, annotation,
};

/// `Initial`: read what the BMC knows, and make sure that the host is off.
pub(super) fn initial(
    new: &mut ServerStatus,
    seen: &Observation<'_>,
    settings: &Settings,
    system: &SystemReading,
) -> Decision {
    let Some(inventory) = seen.inventory else { return Decision::Look(Need::Inventory) };
    status::take_inventory(new, inventory, seen.now);
    if failures(new) >= settings.discovery_attempts {
        return give_up(new, seen);
    }
    let ours = new.pending.is_some();
    if system.power == PowerState::Off {
        if let Some(wait) = boot::unidentified(new, seen, settings, system, None) {
            return wait;
        }
        return begin(new, seen, settings, Some(PendingKind::NetworkBoot));
    }
    if !ours && !settings.enforce_first_boot {
        return begin(new, seen, settings, None);
    }
    status::ready(
        new,
        Ready::Waits("WaitingForPowerOff", waits_for_off(settings, system)),
        seen.now,
    );
    // What runs is the discovery system, or something that the operator's settings allow to be cut
    // off.
    switch_off(new, seen, settings, system, Force::Allowed)
        .unwrap_or(Decision::Rest(poll(seen, settings)))
}

/// Enters `Discovery` with the next attempt. If `NetworkBoot` is recorded, the boot is ours and the
/// host may be powered on and off. Otherwise the host is running something that we have no
/// permission to touch.
fn begin(
    new: &mut ServerStatus,
    seen: &Observation<'_>,
    settings: &Settings,
    boot: Option<PendingKind>,
) -> Decision {
    let attempt = attempt::next(new, seen, settings, boot.is_some());
    let discovery = new.discovery.get_or_insert_with(Discovery::default);
    discovery.attempts = i32::try_from(attempt).ok();
    new.state = Some(ServerState::Discovery);
    new.pending = None;
    new.boot_window = None;
    if let Some(kind) = boot {
        intend(new, kind, seen.now);
        // Part of this write, because the boot configuration is made next and the host armed right
        // after.
        window::begin(new, settings, attempt::reference(seen, settings), None, seen.now);
    }
    status::ready(new, Ready::Waits("Discovery", "booting the discovery image"), seen.now);
    Decision::Rest(SignedDuration::ZERO)
}

fn give_up(new: &mut ServerStatus, seen: &Observation<'_>) -> Decision {
    new.state = Some(ServerState::Error);
    new.pending = None;
    let error = new.discovery.as_ref().and_then(|d| d.error.clone()).unwrap_or_default();
    let message = format!("{error}; annotate with metal.ironcore.dev/operation=retry to try again");
    status::ready(new, Ready::Waits("DiscoveryFailed", &message), seen.now);
    Decision::Rest(SignedDuration::ZERO)
}

/// `Error`: until a person asks for a retry.
pub(super) fn error(
    new: &mut ServerStatus,
    seen: &Observation<'_>,
    settings: &Settings,
) -> Decision {
    if !asks_for_retry(seen) {
        if let Some(eject) = media::eject(new, seen) {
            return eject;
        }
        return Decision::Rest(settings.resync);
    }
    let failures = new.discovery.as_mut().and_then(|discovery| discovery.failures.take());
    new.state = Some(ServerState::Initial);
    if failures.is_some() {
        // What runs is what its last attempt has booted.
        intend(new, PendingKind::PowerOff, seen.now);
    }
    Decision::Rest(SignedDuration::ZERO)
}

/// `Discovery`: boot the discovery image, wait for its report, power off.
pub(super) fn discovery(
    new: &mut ServerStatus,
    seen: &Observation<'_>,
    settings: &Settings,
    system: &SystemReading,
) -> Decision {
    let known = attempt::recorded(new).or_else(|| attempt::lost(new, seen, settings));
    let Some(attempt) = known else {
        // The status was partly lost: start over.
        new.state = Some(ServerState::Initial);
        return Decision::Rest(SignedDuration::ZERO);
    };
    new.discovery.get_or_insert_with(Discovery::default).attempts = i32::try_from(attempt).ok();
    if let Some(report) = report_of(seen, attempt) {
        return finish(new, seen, settings, system, report);
    }
    if seen.server.spec.boot_configuration_ref.as_ref() != Some(&attempt::reference(seen, settings))
    {
        return Decision::Change(Change::ReferToDiscovery);
    }
    match seen.configuration.filter(|configuration| is_prepared(configuration, attempt)) {
        None => Decision::Change(Change::PrepareDiscovery { attempt }),
        Some(configuration) => boot(new, seen, settings, system, configuration),
    }
}

fn boot(
    new: &mut ServerStatus,
    seen: &Observation<'_>,
    settings: &Settings,
    system: &SystemReading,
    configuration: &ServerBootConfiguration,
) -> Decision {
    match status::configuration_state(configuration) {
        BootState::Ready => {}
        BootState::Error => {
            let why = status::configuration_error(configuration);
            status::ready(new, Ready::Waits("BootConfigurationError", &why), seen.now);
            return Decision::Rest(settings.resync);
        }
        BootState::Pending | BootState::Other(_) => return Decision::Rest(settings.resync),
    }
    if system.power == PowerState::Off {
        if window::boots_itself(seen.server, configuration) {
            let why = format!(
                "the annotation {} is disk or none, but discovery must boot from the network or \
                 virtual media: remove it until the server is Available",
                annotation::BOOT_METHOD,
            );
            status::ready(new, Ready::Waits("NoBootSource", &why), seen.now);
            return Decision::Rest(settings.resync);
        }
        if let Some(wait) = boot::unidentified(new, seen, settings, system, None) {
            return wait;
        }
        intend(new, PendingKind::NetworkBoot, seen.now);
        return match boot::start(new, seen, settings, system, configuration) {
            Ok(decision) => {
                let message = "booting the discovery image";
                status::ready(new, Ready::Waits("Discovery", message), seen.now);
                decision
            }
            Err(why) => {
                status::ready(new, Ready::Waits("NoBootSource", &why), seen.now);
                Decision::Rest(settings.resync)
            }
        };
    }
    wait(new, seen, settings, system)
}

/// The host is on: wait for its report, up to a limit.
fn wait(
    new: &mut ServerStatus,
    seen: &Observation<'_>,
    settings: &Settings,
    system: &SystemReading,
) -> Decision {
    if new.pending.is_none() && is_switched_on_here(new, seen) {
        intend(new, PendingKind::NetworkBoot, seen.now);
    }
    let Some(pending) = new.pending.as_ref() else {
        let message = "the host is running and discovery may not power it off: power it off by \
                       hand, or set --enforce-first-boot";
        status::ready(new, Ready::Waits("HostRunning", message), seen.now);
        return Decision::Rest(settings.resync);
    };
    let since = switched_on(pending.since.0, settings.discovery_timeout, system, seen);
    let waited = seen.now.duration_since(since);
    if waited < settings.discovery_timeout {
        let soon =
            if system.power == PowerState::On { settings.resync } else { poll(seen, settings) };
        return Decision::Rest(soon.min(settings.discovery_timeout - waited));
    }
    let why = no_report(new, seen, settings);
    let discovery = new.discovery.get_or_insert_with(Discovery::default);
    discovery.failures = Some(discovery.failures.unwrap_or(0).saturating_add(1));
    discovery.error = Some(why);
    new.state = Some(ServerState::Initial);
    new.pending = None;
    intend(new, PendingKind::PowerOff, seen.now);
    Decision::Rest(SignedDuration::ZERO)
}

/// What an attempt lacked that took too long, and what to do.
fn no_report(new: &ServerStatus, seen: &Observation<'_>, settings: &Settings) -> String {
    let attempt = attempt::recorded(new);
    if attempt.and_then(|attempt| sent(seen, attempt)).is_some() {
        return "its report has no network interface with a MAC address: connect one that the \
                discovery image has a driver for"
            .to_owned();
    }
    format!(
        "no report within {} after power-on: check on the console of the host what it booted",
        short(settings.discovery_timeout),
    )
}

/// The report has arrived: the discovery system has done its work, and its power may be cut.
fn finish(
    new: &mut ServerStatus,
    seen: &Observation<'_>,
    settings: &Settings,
    system: &SystemReading,
    report: &InventorySummary,
) -> Decision {
    let ours = new.pending.is_some() || is_switched_on_here(new, seen);
    let since = received(new, seen, report);
    if let Some(wait) = waits_for_reading(seen, system, since) {
        return wait;
    }
    let off = (system.power != PowerState::Off)
        .then(|| off(seen, settings, system, since, Force::when(ours)));
    // Nothing boots from it any longer. It is removed before the status has the interfaces of the
    // host, which would otherwise be written into it.
    let is_referred = seen.server.spec.boot_configuration_ref.is_some();
    match off {
        Some(step @ Decision::Act(_)) => step,
        Some(_) | None if is_referred => Decision::Change(Change::DropConfiguration),
        Some(wait) => wait,
        None => media::eject(new, seen).unwrap_or_else(|| {
            let Some(interfaces) = seen.interfaces else { return Decision::Look(Need::Report) };
            status::take_interfaces(new, interfaces);
            become_available(new, seen, report);
            Decision::Rest(SignedDuration::ZERO)
        }),
    }
}

/// When the report arrived. If the clock of the registry that took it is ahead of ours, it arrived
/// after its boot was decided on, as far as this process knows.
fn received(new: &ServerStatus, seen: &Observation<'_>, report: &InventorySummary) -> Timestamp {
    let received = report.spec.received_time.as_ref().map(|time| time.0);
    let decided = new.pending.as_ref().map_or(seen.started, |pending| pending.since.0);
    received.filter(|at| *at <= seen.now).unwrap_or_else(|| decided.max(seen.started))
}

fn become_available(new: &mut ServerStatus, seen: &Observation<'_>, report: &InventorySummary) {
    if let Some(discovery) = new.discovery.as_mut() {
        discovery.failures = None;
        discovery.error = None;
        discovery.boot_configuration_uid.clone_from(&report.spec.boot_configuration_uid);
    }
    new.state = Some(ServerState::Available);
    new.pending = None;
    status::ready(new, Ready::Yes, seen.now);
}

/// A host that has reported was on at that time, so an earlier reading of `Off` is outdated. The
/// time of the report has whole seconds.
fn waits_for_reading(
    seen: &Observation<'_>,
    system: &SystemReading,
    received: Timestamp,
) -> Option<Decision> {
    let after = received + SignedDuration::from_secs(1);
    let read_before = seen.system.is_some_and(|reading| reading.at < after);
    if system.power != PowerState::Off || !read_before {
        return None;
    }
    let wait = after.duration_since(seen.now);
    Some(if wait.is_positive() { Decision::Rest(wait) } else { Decision::Look(Need::System) })
}

/// How many consecutive attempts have failed.
fn failures(status: &ServerStatus) -> u32 {
    let failures = status.discovery.as_ref().and_then(|discovery| discovery.failures);
    u32::try_from(failures.unwrap_or(0)).unwrap_or(0)
}

/// Whether a person asks for a retry of a server in `Error`.
pub(super) fn asks_for_retry(seen: &Observation<'_>) -> bool {
    Operation::requested(&seen.server.metadata) == Ok(Some(Operation::Retry))
}

/// The report of an attempt, if it is enough.
fn report_of<'a>(seen: &Observation<'a>, attempt: u32) -> Option<&'a InventorySummary> {
    sent(seen, attempt).filter(|report| report.spec.is_complete)
}

/// The report that the host has sent in an attempt.
fn sent<'a>(seen: &Observation<'a>, attempt: u32) -> Option<&'a InventorySummary> {
    let id = boot_id(seen.server, attempt);
    let is_of_attempt = |report: &&InventorySummary| {
        report.spec.boot_configuration_uid.as_deref() == Some(id.as_str())
    };
    seen.report.filter(is_of_attempt)
}

fn short(time: SignedDuration) -> String {
    match (time.as_mins(), time.as_secs()) {
        (mins, secs) if mins > 0 && secs % 60 == 0 => format!("{mins}m"),
        (_, secs) => format!("{secs}s"),
    }
}
