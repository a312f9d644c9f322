//! Steps that a BMC refuses, or accepts again and again without effect. A person is told which
//! resource was told what, and what the BMC said, or what the resource reads back.

use super::{
    Decision, LastStep, last_step::is_again, power::poll, repetition::repeated_too_soon, turn::Turn,
};
use crate::redfish::{
    BootMode, BootReading, IndicatorLed, PowerState, ResetType, Step, SystemReading,
};
use jiff::SignedDuration;
use metal_api::condition;

/// How many times a step is repeated before a person is told.
const ATTEMPTS: u32 = 5;
/// How many times a step fails before a person is told: once may be by chance.
const FAILURES: u32 = 2;
/// How soon a step is retried after that. A change of what is read back counts at once.
const AGAIN: SignedDuration = SignedDuration::from_mins(10);

/// Reports a step that failed, or had no effect, too many times, and holds it back.
pub(super) fn hold_back(turn: &mut Turn<'_>, system: &SystemReading, then: Decision) -> Decision {
    let Decision::Act(step) = then else { return then };
    let Some(last_step) = turn.seen.last_step else { return Decision::Act(step) };
    let failed = why_failed(last_step, &step);
    let is_futile = is_futile(last_step, &step);
    if let Some(why) = failed {
        report(turn, &step, failure(system, &step, why));
    } else if is_futile {
        tell(turn, system, last_step, &step);
    } else {
        return Decision::Act(step);
    }
    let wait = if is_futile {
        let left = AGAIN - turn.seen.now.duration_since(last_step.at);
        left.is_positive().then(|| left.min(turn.settings.resync))
    } else {
        repeated_too_soon(&step, turn.seen).map(|wait| wait.min(poll(turn.seen, turn.settings)))
    };
    wait.map_or(Decision::Act(step), Decision::Rest)
}

/// Why a step that is due failed the last times, if it did.
fn why_failed<'a>(last_step: &'a LastStep, step: &Step) -> Option<&'a str> {
    let repeats = is_again(&last_step.step, step) && last_step.count >= FAILURES;
    last_step.failed.as_deref().filter(|_| repeats)
}

/// Whether a step that is due was carried out often enough. A shutdown is never futile: the
/// operating system may ignore it, and what is waited for is reported from the beginning.
pub(super) fn is_futile(last_step: &LastStep, step: &Step) -> bool {
    let switches_on = |step: &Step| *step == Step::Reset(ResetType::On);
    let starts_in_vain = last_step.starts >= ATTEMPTS && switches_on(&last_step.step);
    let repeats = is_again(&last_step.step, step) && last_step.count >= ATTEMPTS;
    *step != Step::Reset(ResetType::GracefulShutdown)
        && (repeats || starts_in_vain && is_of_a_start(step))
}

/// Whether a step is part of powering a host on.
fn is_of_a_start(step: &Step) -> bool {
    match step {
        Step::BootOnce { .. } | Step::Reset(ResetType::On) | Step::InsertMedium { .. } => true,
        Step::Reset(_) | Step::IndicatorLed(_) | Step::BootOrder(_) | Step::EjectMedium { .. } => {
            false
        }
    }
}

fn tell(turn: &mut Turn<'_>, system: &SystemReading, last_step: &LastStep, step: &Step) {
    let done =
        if last_step.starts >= ATTEMPTS && is_of_a_start(step) { &last_step.step } else { step };
    report(turn, done, said(system, done));
}

fn report(turn: &mut Turn<'_>, step: &Step, (reason, message): (&'static str, String)) {
    if let Step::IndicatorLed(_) = step {
        turn.fails(reason, &message);
    } else {
        turn.waits(reason, &message);
    }
}

/// What failed, and why.
fn failure(system: &SystemReading, step: &Step, why: &str) -> (&'static str, String) {
    let uri = &system.uri;
    match step {
        Step::BootOnce { source, .. } => (
            "BootOverrideFailed",
            format!(
                "could not set a one-time boot of {uri} from {source}: {why}: correct it on the \
                 BMC, or use another boot method"
            ),
        ),
        Step::Reset(ResetType::GracefulShutdown) => (
            "ShutdownFailed",
            format!("could not shut down {uri}: {why}: shut it down or power it off by hand"),
        ),
        Step::Reset(reset) => {
            let off = *reset == ResetType::ForceOff;
            let reason = if off { "PowerOffFailed" } else { "PowerOnFailed" };
            let message =
                format!("could not reset {uri} with {reset}: {why}: check the host and its BMC");
            (reason, message)
        }
        Step::IndicatorLed(led) => (
            "IndicatorLEDFailed",
            format!(
                "could not set the IndicatorLED of {uri} to {led}: {why}: clear \
                 spec.indicatorLED"
            ),
        ),
        Step::BootOrder(_) => {
            ("BootOrderFailed", format!("could not set the boot order of {uri}: {why}"))
        }
        Step::InsertMedium { slot, .. } => (
            "MediumFailed",
            format!(
                "could not insert the medium into {slot}: {why}: check the BMC, or use another \
                 boot method"
            ),
        ),
        Step::EjectMedium { slot } => (
            "MediumFailed",
            format!("could not eject the medium from {slot}: {why}: eject it on the BMC"),
        ),
    }
}

/// What was requested from which resource, and what that reads back.
fn said(system: &SystemReading, step: &Step) -> (&'static str, String) {
    let uri = &system.uri;
    match step {
        Step::BootOnce { source, mode } => {
            let mode = mode.map(|mode| format!(" ({mode})")).unwrap_or_default();
            let message = format!(
                "a one-time boot of {uri} from {source}{mode} was requested at least {ATTEMPTS} \
                 times, but its Boot is still {}: correct it on the BMC, or use another boot \
                 method",
                boot(&system.boot),
            );
            ("BootOverrideIgnored", message)
        }
        Step::Reset(ResetType::ForceOff) => {
            ("PowerOffIgnored", power_said(system, "cut the power"))
        }
        Step::Reset(reset) => {
            ("PowerOnIgnored", power_said(system, &format!("reset with {reset}")))
        }
        Step::IndicatorLed(led) => ("IndicatorLEDIgnored", led_said(system, *led)),
        Step::BootOrder(_) => {
            let message = format!(
                "the boot order of {uri} was set at least {ATTEMPTS} times, but its Boot is still \
                 {}",
                boot(&system.boot),
            );
            ("BootOrderIgnored", message)
        }
        Step::InsertMedium { slot, .. } => {
            let message = format!(
                "inserting the medium into {slot} was requested at least {ATTEMPTS} times, but it \
                 is still empty: check the BMC, or use another boot method"
            );
            ("MediumIgnored", message)
        }
        Step::EjectMedium { slot } => {
            let message = format!(
                "ejecting the medium from {slot} was requested at least {ATTEMPTS} times, but it \
                 is still inserted: eject it on the BMC"
            );
            ("MediumIgnored", message)
        }
    }
}

fn led_said(system: &SystemReading, led: IndicatorLed) -> String {
    let is = system.indicator_led.map_or_else(|| "nothing".to_owned(), |it| it.to_string());
    format!(
        "the IndicatorLED of {} was set to {led} at least {ATTEMPTS} times, but is still {is}: \
         clear spec.indicatorLED",
        system.uri,
    )
}

fn power_said(system: &SystemReading, told: &str) -> String {
    format!(
        "{} was requested to {told} at least {ATTEMPTS} times, but its PowerState is still {}: \
         check the host and its BMC",
        system.uri, system.power,
    )
}

fn boot(boot: &BootReading) -> String {
    let target = boot.target.map_or_else(|| "unknown".to_owned(), |target| target.to_string());
    let mode = boot.mode.map(|mode| format!(", mode {mode}")).unwrap_or_default();
    // The URI may contain a secret.
    let uri = if boot.has_http_boot_uri { ", with an HttpBootUri" } else { "" };
    format!("enabled {}, target {target}{mode}{uri}", boot.enabled)
}

/// Reports that the BMC shows another boot mode than it was told; returns whether there is nothing
/// left to report. The mode does not keep the host from booting.
pub(super) fn tell_other_mode(
    turn: &mut Turn<'_>,
    system: &SystemReading,
    mode: Option<BootMode>,
) -> bool {
    const REASON: &str = "BootModeIgnored";
    let Some(mode) = mode.filter(|mode| is_other_mode(&system.boot, Some(*mode))) else {
        return true;
    };
    let message = format!(
        "{} was requested to boot in mode {mode} at least {ATTEMPTS} times, but its Boot is still \
         {}: it is booted nevertheless; if that fails, set the mode on the BMC",
        system.uri,
        boot(&system.boot),
    );
    turn.fails(REASON, &message);
    let mut recorded = turn.seen.server.status.iter().flat_map(|status| &status.conditions);
    recorded.any(|it| it.type_ == condition::RECONCILED && it.reason == REASON)
}

/// Reports a host whose power state is unknown, if something waits for it or claims that all is
/// well.
pub(super) fn tell_unknown_power(turn: &mut Turn<'_>, system: &SystemReading) {
    if system.power != PowerState::Unknown {
        return;
    }
    let ready = turn.new.conditions.iter().find(|c| c.type_ == condition::READY);
    let about_power = ready.is_none_or(|ready| {
        let reasons =
            ["WaitingForPowerOff", "WaitingForPowerOn", "HostRunning", "Discovery", "HostPaused"];
        ready.status == "True" || reasons.contains(&ready.reason.as_str())
    });
    if about_power {
        let message = format!(
            "{} does not report a valid PowerState (missing, null or not in the standard): check \
             its BMC; power is not changed until it does",
            system.uri,
        );
        turn.waits("PowerUnknown", &message);
    }
}

/// Whether the BMC shows another mode than this.
pub(super) fn is_other_mode(boot: &BootReading, mode: Option<BootMode>) -> bool {
    mode.zip(boot.mode).is_some_and(|(mode, shown)| mode != shown)
}
