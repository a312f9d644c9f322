//! Powers a host on to boot from the network or a medium.

use super::{
    Decision, OverrideState,
    last_step::is_from,
    media::{self, Prepared},
    power::{START, poll},
    steps_without_effect::{self, is_futile, is_other_mode},
    turn::Turn,
    window,
};
use crate::{
    boot::decision::Method,
    identity::{self, UuidMatch},
    redfish::{
        BootEnabled, BootMode, BootReading, BootSource, PowerState, ResetType, Step, SystemReading,
        allows,
    },
};
use jiff::Timestamp;
use metal_api::{PendingKind, Server, ServerBootConfiguration, ServerState, annotation, condition};

/// Waits while the BMC reports no UUID: it may be that of another machine, which must not get what
/// this server boots. A host that boots from its own disk gets nothing.
pub(super) fn unidentified(
    turn: &mut Turn<'_>,
    system: &SystemReading,
    configuration: Option<&ServerBootConfiguration>,
) -> Option<Decision> {
    let gets_nothing = configuration.is_some_and(|it| window::boots_itself(turn.seen.server, it));
    if gets_nothing || identity::identify(turn.seen.server, system) != UuidMatch::NotReported {
        return None;
    }
    let message = format!(
        "{} reports no UUID, so it may be another machine, and is not booted from the network or \
         a medium until it does: boards that have none until they are powered on have to be \
         powered on and off by hand",
        system.uri
    );
    turn.waits("UUIDNotReported", &message);
    Some(Decision::Rest(turn.settings.resync))
}

/// The way in which a host is to boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BootPath {
    /// From the network, by this source.
    Network(BootSource),
    /// From a medium in a virtual media slot.
    Medium,
}

/// How a host is to boot.
///
/// UEFI HTTP boot is used if the BMC supports it and the boot configuration has something for it;
/// nearly every BMC supports PXE. A medium is for BMCs that support neither, and for servers whose
/// boot method says so. The error says what to do.
fn way(
    server: &Server,
    boot: &BootReading,
    configuration: &ServerBootConfiguration,
) -> Result<(BootPath, Option<BootMode>), String> {
    let method = Method::of(Some(server), configuration).map_err(|_| {
        let name = annotation::BOOT_METHOD;
        format!(
            "the annotation {name} must be http, ipxe, network-always, virtual-media, disk or \
             none: correct it"
        )
    })?;
    let http = holds(configuration, condition::HTTP_BOOT_READY) == Some(true);
    let ipxe = holds(configuration, condition::IPXE_BOOT_READY) != Some(false);
    let uefi = allows(&boot.allowable_modes, &BootMode::Uefi);
    let drive = |source| boot.allowable.contains(&source);
    let drives = [BootSource::UsbCd, BootSource::Cd, BootSource::Usb];
    let medium = http && uefi && drives.into_iter().any(drive);
    let is_asked = |kind: fn(Method) -> bool| method.is_none_or(kind);
    let way = if method.is_some_and(Method::is_virtual_media) {
        if !(http && uefi) {
            return Err(
                "virtual media require UEFI and an image with a UKI: use such an image".to_owned()
            );
        }
        BootPath::Medium
    } else if is_asked(Method::is_http) && http && uefi && drive(BootSource::UefiHttp) {
        BootPath::Network(BootSource::UefiHttp)
    } else if is_asked(Method::is_ipxe) && ipxe && allows(&boot.allowable, &BootSource::Pxe) {
        BootPath::Network(BootSource::Pxe)
    } else if medium && method.is_none() {
        BootPath::Medium
    } else {
        return Err(no_way(boot, http, ipxe, method));
    };
    let mode = boot.mode.map(|_| if uefi { BootMode::Uefi } else { BootMode::Legacy });
    Ok((way, mode))
}

/// Why a host cannot boot from the network, and what to do.
fn no_way(boot: &BootReading, http: bool, ipxe: bool, method: Option<Method>) -> String {
    let offered = boot.allowable.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let image = match (http, ipxe) {
        (true, true) => "UefiHttp and PXE",
        (true, false) => "UefiHttp",
        (false, true) => "PXE",
        (false, false) => "neither UefiHttp nor PXE",
    };
    let remedy = match method {
        Some(method) => format!(
            "and the annotation {} asks for {}: change it, or use a matching image",
            annotation::BOOT_METHOD,
            <&str>::from(method).to_ascii_lowercase(),
        ),
        None => "and no source is in both: use a matching image".to_owned(),
    };
    format!("the BMC only allows to boot from [{offered}], the image supports {image}, {remedy}")
}

/// The next step to power a host on for its boot: first a medium, if it boots from one, then the
/// override, then the power.
pub(super) fn start(
    turn: &mut Turn<'_>,
    system: &SystemReading,
    configuration: &ServerBootConfiguration,
) -> Result<Decision, String> {
    if system.power == PowerState::Off && window::boots_itself(turn.seen.server, configuration) {
        let armed = turn.seen.last_step.map_or(OverrideState::Unknown, |last_step| last_step.armed);
        let clear = Step::BootOnce { source: BootSource::None, mode: None };
        // A BMC that cannot clear it does not keep the host off.
        let is_told = armed == OverrideState::For(BootSource::None)
            || turn.seen.last_step.is_some_and(|last_step| last_step.is_refused(&clear));
        let clears = is_left_over(&system.boot) && !is_told;
        let on = Step::Reset(ResetType::On);
        return Ok(Decision::Act(if clears { clear } else { on }));
    }
    let (way, mode) = way(turn.seen.server, &system.boot, configuration)?;
    if system.power != PowerState::Off {
        return Ok(Decision::Rest(poll(turn.seen, turn.settings)));
    }
    window::open(turn, configuration);
    let source = match way {
        BootPath::Network(source) => source,
        BootPath::Medium => match media::prepare(turn, &system.boot, configuration)? {
            Prepared::Inserted(source) => source,
            Prepared::Do(decision) => return Ok(decision),
        },
    };
    if is_armed(turn, &system.boot, source, mode) {
        let is_told = steps_without_effect::tell_other_mode(turn, system, mode);
        let on = Decision::Act(Step::Reset(ResetType::On));
        return Ok(if is_told { on } else { Decision::Rest(poll(turn.seen, turn.settings)) });
    }
    // The BMC may still be busy with a power-on that has used the override. The discovery system may
    // have a second one: it does not restart.
    let is_claimed = turn.new.state == Some(ServerState::Reserved);
    let started = match turn.seen.last_step {
        Some(last_step) => (last_step.step == Step::Reset(ResetType::On)).then_some(last_step.at),
        None => intended_before(turn).filter(|_| is_claimed),
    };
    Ok(match started.map(|at| turn.seen.now.duration_since(at)) {
        Some(ago) if ago < START => Decision::Rest(poll(turn.seen, turn.settings)),
        Some(_) | None => Decision::Act(Step::BootOnce { source, mode }),
    })
}

/// Whether the next boot is set as it should be, as far as the BMC reports: from that source, with
/// what DHCP says, and in that mode if it reports one. A BMC that turns `Once` into `Continuous`, or
/// reports one way of network boot as the other (sushy-emulator 2.2), still does what it was told.
fn is_armed(
    turn: &Turn<'_>,
    boot: &BootReading,
    source: BootSource,
    mode: Option<BootMode>,
) -> bool {
    let last_step = turn.seen.last_step;
    let armed = last_step.map_or(OverrideState::Unknown, |last_step| last_step.armed);
    let network = boot.target.is_some_and(is_network);
    let is_source = boot.target == Some(source)
        || (armed == OverrideState::For(source) && network && is_network(source));
    // Some boards show the mode of the last boot until the next one.
    let is_mode = !is_other_mode(boot, mode)
        || (armed == OverrideState::For(source)
            && last_step.is_some_and(|it| is_futile(it, &Step::BootOnce { source, mode })));
    let is_of_this_boot = match armed {
        OverrideState::For(_) => true,
        OverrideState::UsedUp => false,
        OverrideState::Unknown => {
            let arm = Step::BootOnce { source, mode };
            intended_before(turn).is_some()
                || last_step.is_some_and(|last_step| last_step.is_refused(&arm))
        }
    };
    let is_ours = is_source && !boot.is_preset(source);
    is_of_this_boot && boot.enabled != BootEnabled::Disabled && is_ours && is_mode
}

/// When the previous process recorded the intent, if it did: it may have set the override for this boot,
/// and powered the host on. Otherwise what is shown may be that of an earlier boot: some boards show it
/// until it is overwritten, and would boot their disk.
fn intended_before(turn: &Turn<'_>) -> Option<Timestamp> {
    let pending = turn.new.pending.as_ref().filter(|it| it.kind == PendingKind::NetworkBoot);
    let since = pending.map(|it| it.since.0);
    since.filter(|since| !is_from(*since, turn.seen.started))
}

/// Whether a BMC without `Once` would boot from the network again.
fn is_left_over(boot: &BootReading) -> bool {
    boot.enabled == BootEnabled::Continuous && boot.target.is_some_and(is_network)
}

fn is_network(source: BootSource) -> bool {
    matches!(source, BootSource::Pxe | BootSource::UefiHttp)
}

fn holds(configuration: &ServerBootConfiguration, type_: &str) -> Option<bool> {
    let conditions = &configuration.status.as_ref()?.conditions;
    conditions.iter().find(|c| c.type_ == type_).map(|c| c.status == "True")
}
