//! The boot window: the time in which a machine may fetch what it boots.
//!
//! ```text
//!            a network boot is to be armed
//!   closed ──────────────────────────────► open
//!      ▲                                     │ report, power off, released, another boot:
//!      ├────────────── recorded ◄────────────┤
//!      └────────────── its time is over ◄────┘ nobody has to write that
//! ```
//!
//! The window is recorded with the intent, before the host is armed and powered on. The
//! boot-operator reads it ([`crate::boot::window`]). If the window is lost, a boot is lost, but no
//! secret: without a window a machine gets nothing, and a new one is opened only for a new boot.

use super::{ClaimSeen, Observation, Settings, last_step::is_from, turn::Turn};
use crate::{boot::decision::Method, redfish};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use metal_api::{
    BootWindow, ObjectReference, PendingKind, Power, PowerState, Server, ServerBootConfiguration,
    ServerState, condition,
};

/// Whether the host is to boot without us, by its own boot order.
pub(super) fn boots_itself(server: &Server, configuration: &ServerBootConfiguration) -> bool {
    matches!(Method::of(Some(server), configuration), Ok(Some(Method::Disk | Method::None)))
}

/// Opens the window for what a server refers to, unless the recorded one is still young.
pub(super) fn open(turn: &mut Turn<'_>, configuration: &ServerBootConfiguration) {
    let (settings, now) = (turn.settings, turn.seen.now);
    let reference = reference(configuration);
    let uid = configuration.metadata.uid.clone();
    let is_young = |window: &BootWindow| {
        let is_same = window.boot_configuration_uid.is_none()
            || uid.is_none()
            || window.boot_configuration_uid == uid;
        let is_open = now < window.closes.0;
        is_same && is_open && window.boot_configuration_ref == reference && {
            now.duration_since(window.opened.0) < youth(settings)
        }
    };
    if !turn.new.boot_window.as_ref().is_some_and(is_young) {
        begin(turn, reference, uid);
    }
}

/// Opens a new window. The boot configuration need not exist yet.
pub(super) fn begin(turn: &mut Turn<'_>, reference: ObjectReference, uid: Option<String>) {
    let now = turn.seen.now;
    turn.new.boot_window = Some(BootWindow {
        boot_configuration_ref: reference,
        boot_configuration_uid: uid,
        opened: Time(now),
        closes: Time(now + turn.settings.boot_window),
    });
}

/// Passes an open window on to a boot configuration that was made again under the same name: the host
/// that was started for the one before boots it in the time that is left. Nothing else would ever
/// let it boot.
pub(super) fn pass_on(turn: &mut Turn<'_>, configuration: &ServerBootConfiguration) {
    let (now, reference) = (turn.seen.now, reference(configuration));
    let uid = configuration.metadata.uid.as_ref();
    let is_open =
        |it: &&mut BootWindow| now < it.closes.0 && it.boot_configuration_ref == reference;
    if let (Some(window), Some(uid)) = (turn.new.boot_window.as_mut().filter(is_open), uid)
        && let Some(known) = &mut window.boot_configuration_uid
    {
        known.clone_from(uid);
    }
}

/// Opens a new window for a host that boots from the network each time and has started a boot
/// itself: its power state was seen to change, or its BMC reports another reset than before.
pub(super) fn reopen(
    turn: &mut Turn<'_>,
    system: &redfish::SystemReading,
    configuration: &ServerBootConfiguration,
) {
    let method = Method::of(Some(turn.seen.server), configuration);
    // What reports no UUID may be another machine.
    if method != Ok(Some(Method::NetworkAlways)) || system.uuid.is_none() {
        return;
    }
    // A window that was just opened is for the same boot.
    let known = turn.new.boot_window.as_ref().map(|window| {
        let young = window.opened.0 + youth(turn.settings);
        window.closes.0.min(young)
    });
    if has_begun(turn.seen, system) && known.is_none_or(|known| turn.seen.now > known) {
        let uid = configuration.metadata.uid.clone();
        begin(turn, reference(configuration), uid);
    }
}

/// Whether a host that is on has begun to boot since its last reading was recorded. Of the time of
/// its last reset only the change counts, because the clock of a BMC may be hours off.
pub(super) fn has_begun(seen: &Observation<'_>, system: &redfish::SystemReading) -> bool {
    let Some(recorded) = &seen.server.status else { return false };
    let was_off = matches!(
        recorded.power_state,
        Some(PowerState::Off | PowerState::PoweringOff | PowerState::PoweringOn)
    );
    let before = recorded.last_reset_time.as_ref().map(|at| at.0);
    let was_reset = before
        .zip(system.last_reset)
        .is_some_and(|(before, now)| redfish::is_another_reset(before, now));
    was_off || was_reset
}

/// Reopens a window that a client has dropped by writing the whole object: that of a boot which
/// this process has started, for the remaining time. Nobody else knows that it was ever open.
pub(super) fn recover(turn: &mut Turn<'_>) {
    let seen = turn.seen;
    let recorded = seen.server.status.as_ref().and_then(|status| status.boot_window.as_ref());
    let is_lost = turn.new.boot_window.is_none() && recorded.is_none() && seen.machines.is_empty();
    // A host that was started in another state boots something else.
    let entered = turn.new.state_since.as_ref().map(|since| since.0);
    let is_here = |on: &Timestamp| entered.is_none_or(|since| is_from(*on, since));
    let begun = seen.last_step.and_then(|last_step| last_step.on);
    let begun = begun.filter(|on| *on <= seen.now && is_here(on));
    let (true, Some(begun), Some(configuration)) = (is_lost, begun, seen.configuration) else {
        return;
    };
    let window = BootWindow {
        boot_configuration_ref: reference(configuration),
        boot_configuration_uid: configuration.metadata.uid.clone(),
        opened: Time(begun),
        closes: Time(begun + turn.settings.boot_window),
    };
    let is_over = seen.now >= window.closes.0 || reported(seen, &window);
    let boots = !boots_itself(seen.server, configuration) && runs(seen);
    if boots && !is_over && is_due(turn, &window) {
        turn.new.boot_window = Some(window);
    }
}

fn runs(seen: &Observation<'_>) -> bool {
    let system = seen.system.and_then(|reading| reading.result.as_ref().ok());
    system.is_some_and(|system| {
        use redfish::PowerState::{On, PoweringOn};
        matches!(system.power, On | PoweringOn)
    })
}

/// Closes the window once its boot is over, or no longer wanted.
pub(super) fn settle(turn: &mut Turn<'_>) {
    let seen = turn.seen;
    let Some(window) = &turn.new.boot_window else { return };
    if !is_due(turn, window) {
        turn.new.boot_window = None;
        return;
    }
    if reported(seen, window) {
        close(turn);
    }
}

/// Closes the window. It stays in the status: one that is missing there was lost.
pub(super) fn close(turn: &mut Turn<'_>) {
    let now = turn.seen.now;
    if let Some(window) = turn.new.boot_window.as_mut().filter(|it| it.closes.0 > now) {
        window.closes = Time(now);
    }
}

/// Whether the host has yet to boot what the window is for.
fn is_due(turn: &Turn<'_>, window: &BootWindow) -> bool {
    let (status, seen) = (&turn.new, turn.seen);
    let is_to_be_off = match seen.claim {
        ClaimSeen::Holds(claim) => claim.spec.power == Power::Off,
        ClaimSeen::Unclaimed | ClaimSeen::NotCached => false,
        ClaimSeen::Gone => true,
    };
    let goes_off = status.pending.as_ref().is_some_and(|it| it.kind == PendingKind::PowerOff);
    let referred = seen.server.spec.boot_configuration_ref.as_ref();
    let is_referred = referred == Some(&window.boot_configuration_ref);
    let in_state = match &status.state {
        // The reference is set after the state.
        Some(ServerState::Discovery) => is_referred || referred.is_none(),
        Some(ServerState::Reserved) => is_referred,
        Some(_) | None => false,
    };
    in_state && !goes_off && !is_to_be_off
}

/// Whether the booted host has reported that it is up.
fn reported(seen: &Observation<'_>, window: &BootWindow) -> bool {
    let said = |it: &Condition| {
        it.type_ == condition::BOOT_STATE_RECEIVED
            && it.status == "True"
            && it.last_transition_time.0 >= window.opened.0
    };
    let status = seen.configuration.and_then(|it| it.status.as_ref());
    status.is_some_and(|status| status.conditions.iter().any(said))
}

fn reference(configuration: &ServerBootConfiguration) -> ObjectReference {
    let metadata = &configuration.metadata;
    ObjectReference {
        namespace: metadata.namespace.clone().unwrap_or_default(),
        name: metadata.name.clone().unwrap_or_default(),
    }
}

/// How old a window may be when a boot starts in it, so that most of its time is left for the boot.
fn youth(settings: &Settings) -> SignedDuration {
    settings.boot_window / 4
}
