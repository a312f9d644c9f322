//! From an unknown server to one that may be claimed.

use super::{
    Change, Decision, Need, Observation,
    attempt::{self, is_prepared},
    available::wait_for_off,
    boot, boot_id, media,
    power::{Force, intend, off, poll, switch_off, switched_on, unless_certainly_off},
    repetition::is_switched_on_here,
    status,
    turn::Turn,
    window,
};
use crate::{
    redfish::{PowerState, SystemReading},
    report::InventorySummary,
};
use jiff::{SignedDuration, Timestamp};
use metal_api::{
    BootState, Discovery, ObjectReference, Operation, PendingKind, ServerBootConfiguration,
    ServerState, ServerStatus, annotation,
};

/// How long the boot-operator may take to prepare a boot before a person is told.
const LONG: SignedDuration = SignedDuration::from_mins(1);

/// `Initial`: read what the BMC knows, and make sure that the host is off.
pub(super) fn initial(turn: &mut Turn<'_>, system: &SystemReading) -> Decision {
    let Some(inventory) = turn.seen.inventory else { return Decision::Look(Need::Inventory) };
    status::take_inventory(&mut turn.new, inventory, turn.seen.now);
    if failures(&turn.new) >= turn.settings.discovery_attempts {
        return give_up(turn);
    }
    let ours = turn.new.pending.is_some();
    if system.power == PowerState::Off {
        let wait = boot::unidentified(turn, system, None);
        if let Some(wait) = wait.or_else(|| unless_certainly_off(turn)) {
            return wait;
        }
        return begin(turn, Some(PendingKind::NetworkBoot));
    }
    if !ours && !turn.settings.enforce_first_boot {
        return begin(turn, None);
    }
    wait_for_off(turn, system);
    // What runs is the discovery system, or something that the operator's settings allow to be cut
    // off.
    switch_off(turn, system, Force::Allowed)
        .unwrap_or(Decision::Rest(poll(turn.seen, turn.settings)))
}

/// Enters `Discovery` with the next attempt. If `NetworkBoot` is recorded, the boot is ours and the
/// host may be powered on and off. Otherwise the host is running something that we have no
/// permission to touch.
fn begin(turn: &mut Turn<'_>, boot: Option<PendingKind>) -> Decision {
    let attempt = attempt::next(&turn.new, turn.seen, turn.settings, boot.is_some());
    let discovery = turn.new.discovery.get_or_insert_with(Discovery::default);
    discovery.attempts = i32::try_from(attempt).ok();
    turn.new.state = Some(ServerState::Discovery);
    turn.new.pending = None;
    turn.new.boot_window = None;
    if let Some(kind) = boot {
        intend(turn, kind);
        // Part of this write, because the boot configuration is made next and the host armed right
        // after.
        let reference = attempt::reference(turn.seen, turn.settings);
        window::begin(turn, reference, None);
    }
    tell_booting(turn);
    Decision::Rest(SignedDuration::ZERO)
}

fn tell_booting(turn: &mut Turn<'_>) {
    turn.waits("Discovery", "booting the discovery image");
}

fn give_up(turn: &mut Turn<'_>) -> Decision {
    turn.new.state = Some(ServerState::Error);
    turn.new.pending = None;
    let error = turn.new.discovery.as_ref().and_then(|d| d.error.clone()).unwrap_or_default();
    let message = format!("{error}; annotate with metal.ironcore.dev/operation=retry to try again");
    turn.waits("DiscoveryFailed", &message);
    Decision::Rest(SignedDuration::ZERO)
}

/// `Error`: until a person asks for a retry.
pub(super) fn error(turn: &mut Turn<'_>, system: &SystemReading) -> Decision {
    // What a person has booted since is not ours to switch off.
    if (system.power == PowerState::Off || window::has_begun(turn.seen, system))
        && let Some(discovery) = &mut turn.new.discovery
    {
        discovery.failures = None;
    }
    if !asks_for_retry(turn.seen) {
        if let Some(eject) = media::eject(turn) {
            return eject;
        }
        return Decision::Rest(turn.settings.resync);
    }
    let failures = turn.new.discovery.as_mut().and_then(|discovery| discovery.failures.take());
    turn.new.state = Some(ServerState::Initial);
    if failures.is_some() {
        // What runs is what its last attempt has booted.
        intend(turn, PendingKind::PowerOff);
    }
    Decision::Rest(SignedDuration::ZERO)
}

/// `Discovery`: boot the discovery image, wait for its report, power off.
pub(super) fn discovery(turn: &mut Turn<'_>, system: &SystemReading) -> Decision {
    let known =
        attempt::recorded(&turn.new).or_else(|| attempt::lost(&turn.new, turn.seen, turn.settings));
    let Some(attempt) = known else {
        // The status was partly lost: start over.
        turn.new.state = Some(ServerState::Initial);
        return Decision::Rest(SignedDuration::ZERO);
    };
    turn.new.discovery.get_or_insert_with(Discovery::default).attempts =
        i32::try_from(attempt).ok();
    if let Some(report) = report_of(turn.seen, attempt) {
        return finish(turn, system, report);
    }
    if turn.seen.server.spec.boot_configuration_ref.as_ref()
        != Some(&attempt::reference(turn.seen, turn.settings))
    {
        return Decision::Change(Change::ReferToDiscovery);
    }
    match turn.seen.configuration.filter(|configuration| is_prepared(configuration, attempt)) {
        None => prepare(turn, attempt),
        Some(configuration) => boot(turn, system, configuration),
    }
}

fn prepare(turn: &mut Turn<'_>, attempt: u32) -> Decision {
    match turn.seen.configuration.and_then(|it| status::name_taken(it, turn.seen.server)) {
        None => Decision::Change(Change::PrepareDiscovery { attempt }),
        Some(why) => turn.rests("NameTaken", &why),
    }
}

fn boot(
    turn: &mut Turn<'_>,
    system: &SystemReading,
    configuration: &ServerBootConfiguration,
) -> Decision {
    match status::configuration_state(configuration) {
        BootState::Ready => {}
        BootState::Error => return refused(turn, configuration),
        BootState::Pending | BootState::Other(_) => return not_ready(turn),
    }
    if system.power == PowerState::Off {
        if window::boots_itself(turn.seen.server, configuration) {
            let why = format!(
                "the annotation {} is disk or none, but discovery must boot from the network or \
                 virtual media: remove it until the server is Available",
                annotation::BOOT_METHOD,
            );
            return turn.rests("NoBootSource", &why);
        }
        let wait = boot::unidentified(turn, system, None);
        if let Some(wait) = wait.or_else(|| unless_certainly_off(turn)) {
            return wait;
        }
        if has_gone_off(turn) {
            let why = "the host went off before it reported: check on its console what it booted, \
                       and what else switches it off";
            let why = reported_too_little(turn).unwrap_or(why).to_owned();
            return fail(turn, why);
        }
        intend(turn, PendingKind::NetworkBoot);
        return match boot::start(turn, system, configuration) {
            Ok(decision) => {
                tell_booting(turn);
                decision
            }
            Err(why) => turn.rests("NoBootSource", &why),
        };
    }
    wait(turn, system)
}

/// The boot-operator cannot prepare the boot.
fn refused(turn: &mut Turn<'_>, configuration: &ServerBootConfiguration) -> Decision {
    let ObjectReference { namespace, name } = attempt::reference(turn.seen, turn.settings);
    let why = format!(
        "{}; if its Secret is missing, delete ServerBootConfiguration {namespace}/{name}, and both \
         are made again",
        status::configuration_error(configuration),
    );
    turn.rests("BootConfigurationError", &why)
}

/// Waits for the boot-operator; a person is told if that takes long.
fn not_ready(turn: &mut Turn<'_>) -> Decision {
    let since = turn.new.state_since.as_ref().map_or(turn.seen.now, |since| since.0);
    if turn.seen.now.duration_since(since) < LONG {
        return Decision::Rest(turn.settings.resync.min(LONG));
    }
    let message = "boot-operator has not made the boot configuration of the discovery Ready yet: \
                   check that it runs";
    turn.rests("WaitingForBootConfiguration", message)
}

/// The host is on: wait for its report, up to a limit.
fn wait(turn: &mut Turn<'_>, system: &SystemReading) -> Decision {
    if turn.new.pending.is_none() && is_switched_on_here(&turn.new, turn.seen) {
        intend(turn, PendingKind::NetworkBoot);
    }
    let Some(intended) = turn.new.pending.as_ref().map(|pending| pending.since.0) else {
        let message = "the host is running and discovery may not power it off: power it off by \
                       hand, or set --enforce-first-boot";
        return turn.rests("HostRunning", message);
    };
    let since = switched_on(intended, turn.settings.discovery_timeout, system, turn.seen);
    let waited = turn.seen.now.duration_since(since);
    if waited < turn.settings.discovery_timeout {
        // Whatever was waited for before is over.
        tell_booting(turn);
        let soon = if system.power == PowerState::On {
            turn.settings.resync
        } else {
            poll(turn.seen, turn.settings)
        };
        return Decision::Rest(soon.min(turn.settings.discovery_timeout - waited));
    }
    let why = no_report(turn);
    fail(turn, why)
}

/// Whether the host was powered on for this attempt, and has gone off by itself since. It would do
/// that again and again.
fn has_gone_off(turn: &Turn<'_>) -> bool {
    turn.seen.off_for.is_some() && is_switched_on_here(&turn.new, turn.seen)
}

/// Ends an attempt without a report.
fn fail(turn: &mut Turn<'_>, why: String) -> Decision {
    let discovery = turn.new.discovery.get_or_insert_with(Discovery::default);
    discovery.failures = Some(discovery.failures.unwrap_or(0).saturating_add(1));
    discovery.error = Some(why);
    turn.new.state = Some(ServerState::Initial);
    turn.new.pending = None;
    intend(turn, PendingKind::PowerOff);
    Decision::Rest(SignedDuration::ZERO)
}

/// What the report of an attempt lacks that is not enough, and what to do.
fn reported_too_little(turn: &Turn<'_>) -> Option<&'static str> {
    let why = "its report has no network interface with a MAC address: connect one that the \
               discovery image has a driver for";
    attempt::recorded(&turn.new).and_then(|attempt| sent(turn.seen, attempt)).map(|_| why)
}

/// What an attempt lacked that took too long, and what to do.
fn no_report(turn: &Turn<'_>) -> String {
    if let Some(why) = reported_too_little(turn) {
        return why.to_owned();
    }
    format!(
        "no report within {} after power-on: check on the console of the host what it booted",
        short(turn.settings.discovery_timeout),
    )
}

/// The report has arrived: the discovery system has done its work, and its power may be cut.
fn finish(turn: &mut Turn<'_>, system: &SystemReading, report: &InventorySummary) -> Decision {
    let ours = turn.new.pending.is_some() || is_switched_on_here(&turn.new, turn.seen);
    let since = received(turn, report);
    if let Some(wait) = waits_for_reading(turn.seen, system, since) {
        return wait;
    }
    let off =
        (system.power != PowerState::Off).then(|| off(turn, system, since, Force::when(ours)));
    // Nothing boots from it any longer. It is removed before the status has the interfaces of the
    // host, which would otherwise be written into it.
    let is_referred = turn.seen.server.spec.boot_configuration_ref.is_some();
    match off {
        Some(step @ Decision::Act(_)) => step,
        Some(_) | None if is_referred => Decision::Change(Change::DropConfiguration),
        Some(wait) => wait,
        None => media::eject(turn).unwrap_or_else(|| {
            let Some(interfaces) = turn.seen.interfaces else {
                return Decision::Look(Need::Report);
            };
            status::take_interfaces(&mut turn.new, interfaces);
            become_available(turn, report);
            Decision::Rest(SignedDuration::ZERO)
        }),
    }
}

/// When the report arrived. If the clock of the registry that took it is ahead of ours, it arrived
/// after its boot was decided on, as far as this process knows.
fn received(turn: &Turn<'_>, report: &InventorySummary) -> Timestamp {
    let received = report.spec.received_time.as_ref().map(|time| time.0);
    let decided = turn.new.pending.as_ref().map_or(turn.seen.started, |pending| pending.since.0);
    received.filter(|at| *at <= turn.seen.now).unwrap_or_else(|| decided.max(turn.seen.started))
}

fn become_available(turn: &mut Turn<'_>, report: &InventorySummary) {
    if let Some(discovery) = turn.new.discovery.as_mut() {
        discovery.failures = None;
        discovery.error = None;
        discovery.boot_configuration_uid.clone_from(&report.spec.boot_configuration_uid);
    }
    turn.new.state = Some(ServerState::Available);
    turn.new.pending = None;
    turn.ready();
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
