//! Steps that a BMC accepts again and again without effect. A person is told which resource was
//! told what, and what it reads back.

use super::{
    Decision, LastStep, Observation, Settings,
    boot::is_other_mode,
    last_step::is_again,
    status::{self, Ready},
};
use crate::{
    conditions::{self, Fact},
    redfish::{BootMode, BootReading, PowerState, ResetType, Step, SystemReading},
};
use jiff::SignedDuration;
use metal_api::{ServerStatus, condition};

/// How many times a step is repeated before a person is told.
const ATTEMPTS: u32 = 5;
/// How soon a step is retried after that. A change of what is read back counts at once.
const AGAIN: SignedDuration = SignedDuration::from_mins(10);

/// Holds back a step that had no effect this many times, and reports it.
pub(super) fn hold_back(
    new: &mut ServerStatus,
    seen: &Observation<'_>,
    settings: &Settings,
    system: &SystemReading,
    then: Decision,
) -> Decision {
    let Decision::Act(step) = then else { return then };
    let Some(last_step) = seen.last_step.filter(|last_step| is_futile(last_step, &step)) else {
        return Decision::Act(step);
    };
    tell(new, seen, system, last_step, &step);
    let left = AGAIN - seen.now.duration_since(last_step.at);
    if left.is_positive() {
        return Decision::Rest(left.min(settings.resync));
    }
    Decision::Act(step)
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

fn tell(
    new: &mut ServerStatus,
    seen: &Observation<'_>,
    system: &SystemReading,
    last_step: &LastStep,
    step: &Step,
) {
    let done =
        if last_step.starts >= ATTEMPTS && is_of_a_start(step) { &last_step.step } else { step };
    let (reason, message) = said(system, done);
    if let Step::IndicatorLed(_) = done {
        // The LED does not affect the use of the server.
        let type_ = condition::RECONCILED;
        let fact = Fact { type_, holds: false, reason, message: &message };
        conditions::set(&mut new.conditions, fact, new.observed_generation, seen.now);
    } else {
        status::ready(new, Ready::Waits(reason, &message), seen.now);
    }
}

/// What was requested from which resource, and what that reads back.
fn said(system: &SystemReading, step: &Step) -> (&'static str, String) {
    let uri = &system.uri;
    let power = |told: &str| {
        format!(
            "{uri} was requested to {told} at least {ATTEMPTS} times, but its PowerState is still \
             {}: check the host and its BMC",
            system.power,
        )
    };
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
        Step::Reset(ResetType::ForceOff) => ("PowerOffIgnored", power("cut the power")),
        Step::Reset(reset) => ("PowerOnIgnored", power(&format!("reset with {reset}"))),
        Step::IndicatorLed(led) => {
            let is = system.indicator_led.map_or_else(|| "nothing".to_owned(), |it| it.to_string());
            let message = format!(
                "the IndicatorLED of {uri} was set to {led} at least {ATTEMPTS} times, but is \
                 still {is}: clear spec.indicatorLED"
            );
            ("IndicatorLEDIgnored", message)
        }
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
    new: &mut ServerStatus,
    seen: &Observation<'_>,
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
    let type_ = condition::RECONCILED;
    let fact = Fact { type_, holds: false, reason: REASON, message: &message };
    conditions::set(&mut new.conditions, fact, new.observed_generation, seen.now);
    let mut recorded = seen.server.status.iter().flat_map(|status| &status.conditions);
    recorded.any(|it| it.type_ == type_ && it.reason == REASON)
}

/// Reports a host whose power state is unknown, if something waits for it or claims that all is
/// well.
pub(super) fn tell_unknown_power(
    new: &mut ServerStatus,
    seen: &Observation<'_>,
    system: &SystemReading,
) {
    if system.power != PowerState::Unknown {
        return;
    }
    let ready = new.conditions.iter().find(|c| c.type_ == condition::READY);
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
        status::ready(new, Ready::Waits("PowerUnknown", &message), seen.now);
    }
}
