//! Steps that have no effect, and unknown power states.

use super::{
    super::Decision,
    fixture::{Scene, minutes, seconds},
};
use crate::redfish::{
    BootEnabled, BootMode, BootSource, IndicatorLed, PowerState, ResetType, Step,
};
use metal_api::{BootState, condition};

#[test]
fn an_override_that_does_not_stick_is_told_with_what_was_read_back_and_tried_ever_less_often() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    name(&mut scene);
    scene.system().boot.target = Some(BootSource::Hdd);
    let steps = run(&mut scene, 60, |_, _| {});
    assert!((6..12).contains(&steps.len()), "{} in an hour", steps.len());
    assert_eq!(scene.condition(condition::READY), ("False", "BootOverrideIgnored"));
    let message = scene.message(condition::READY);
    assert!(message.contains("/redfish/v1/Systems/1") && message.contains("Pxe"), "{message}");
    assert!(message.contains("enabled Disabled, target Hdd, mode UEFI"), "{message}");

    // A person corrects it.
    let boot = &mut scene.system().boot;
    (boot.enabled, boot.target) = (BootEnabled::Once, Some(BootSource::Pxe));
    scene.refresh();
    assert_eq!(scene.decide(), Decision::Act(Step::Reset(ResetType::On)));
}

#[test]
fn a_host_is_not_switched_on_while_its_bmc_would_boot_what_somebody_has_left_there() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    scene.configuration_condition(condition::HTTP_BOOT_READY, "True");
    let boot = &mut scene.system().boot;
    boot.allowable = vec![BootSource::UefiHttp];
    boot.has_http_boot_uri = true;
    let steps = run(&mut scene, 60, |scene, _| {
        let boot = &mut scene.system().boot;
        (boot.enabled, boot.target) = (BootEnabled::Once, Some(BootSource::UefiHttp));
    });
    let arm = Step::BootOnce { source: BootSource::UefiHttp, mode: Some(BootMode::Uefi) };
    assert!(steps.len() > 5 && steps.iter().all(|step| *step == arm), "{steps:?}");
    assert_eq!(scene.condition(condition::READY), ("False", "BootOverrideIgnored"));
    let message = scene.message(condition::READY);
    assert!(message.contains("target UefiHttp, mode UEFI, with an HttpBootUri"), "{message}");
    scene.system().boot.has_http_boot_uri = false;
    scene.refresh();
    assert_eq!(scene.decide(), Decision::Act(Step::Reset(ResetType::On)));
}

#[test]
fn a_mode_that_is_shown_only_after_the_next_boot_keeps_no_host_off() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    scene.system().boot.mode = Some(BootMode::Legacy);
    let steps = run(&mut scene, 10, |scene, step| {
        if *step == Step::Reset(ResetType::On) {
            assert_eq!(scene.condition(condition::RECONCILED), ("False", "BootModeIgnored"));
            assert!(scene.message(condition::RECONCILED).contains("mode Legacy"));
            scene.system().power = PowerState::On;
        }
        let boot = &mut scene.system().boot;
        (boot.enabled, boot.target) = (BootEnabled::Once, Some(BootSource::Pxe));
    });
    let arm = Step::BootOnce { source: BootSource::Pxe, mode: Some(BootMode::Uefi) };
    let on = Step::Reset(ResetType::On);
    assert_eq!(steps, [vec![arm; 5], vec![on]].concat());
}

#[test]
fn a_host_that_stays_off_is_told_and_not_switched_on_every_minute() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    let steps = run(&mut scene, 120, |scene, step| {
        let boot = &mut scene.system().boot;
        match step {
            Step::BootOnce { .. } => {
                (boot.enabled, boot.target) = (BootEnabled::Once, Some(BootSource::Pxe));
            }
            Step::Reset(_)
            | Step::IndicatorLed(_)
            | Step::BootOrder(_)
            | Step::InsertMedium { .. }
            | Step::EjectMedium { .. } => boot.enabled = BootEnabled::Disabled,
        }
    });
    let on = steps.iter().filter(|step| **step == Step::Reset(ResetType::On)).count();
    assert!((6..20).contains(&on), "{on} in two hours");
    assert_eq!(scene.condition(condition::READY), ("False", "PowerOnIgnored"));
}

#[test]
fn a_step_without_effect_is_told_whatever_it_is() {
    let mut off = Scene::available();
    off.settings.enforce_power_off = true;
    off.system().power = PowerState::On;
    let mut light = Scene::available();
    light.server.spec.indicator_led = Some(metal_api::IndicatorLed::from("Lit"));
    light.system().indicator_led = Some(IndicatorLed::Off);
    let mut medium = Scene::with_drives();
    medium.record();
    medium.prepare(BootState::Ready);
    for (mut scene, type_, reason) in [
        (off, condition::READY, "PowerOffIgnored"),
        (light, condition::RECONCILED, "IndicatorLEDIgnored"),
        (medium, condition::READY, "MediumIgnored"),
    ] {
        let steps = run(&mut scene, 110, |_, _| {});
        assert!(steps.len() < 40, "{reason}: {}", steps.len());
        assert_eq!(scene.condition(type_), ("False", reason));
        let recorded = scene.server.status.clone();
        scene.now += seconds(20);
        scene.refresh();
        scene.settle();
        assert_eq!(scene.server.status, recorded, "{reason}: said the same again");
    }
}

#[test]
#[expect(clippy::large_stack_arrays, reason = "a scene for each step")]
fn a_step_that_the_bmc_refuses_is_told_with_what_it_said_and_what_refused_it() {
    const SAID: &str = "HTTP 400: The property is read-only";
    let mut off = Scene::available();
    off.settings.enforce_power_off = true;
    off.system().power = PowerState::On;
    off.system().reset_types = vec![ResetType::ForceOff];
    let mut asked = Scene::available();
    asked.system().power = PowerState::On;
    let mut light = Scene::available();
    light.server.spec.indicator_led = Some(metal_api::IndicatorLed::from("Lit"));
    light.system().indicator_led = Some(IndicatorLed::Off);
    let mut medium = Scene::with_drives();
    medium.record();
    medium.prepare(BootState::Ready);
    for (mut scene, type_, reason, resource) in [
        (
            Scene::in_discovery(BootState::Ready),
            condition::READY,
            "BootOverrideFailed",
            "/redfish/v1/Systems/1",
        ),
        (off, condition::READY, "PowerOffFailed", "/redfish/v1/Systems/1"),
        (asked, condition::READY, "ShutdownFailed", "/redfish/v1/Systems/1"),
        (light, condition::RECONCILED, "IndicatorLEDFailed", "/redfish/v1/Systems/1"),
        (medium, condition::READY, "MediumFailed", "/cd"),
    ] {
        name(&mut scene);
        for (minutes, at_least, at_most) in [(4, 2, 9), (20, 1, 12)] {
            let steps = refuses(&mut scene, minutes, SAID);
            assert!((at_least..at_most).contains(&steps.len()), "{reason}: {steps:?}");
            assert!(!steps.contains(&Step::Reset(ResetType::On)), "{reason}");
            assert_eq!(scene.condition(type_), ("False", reason));
            let message = scene.message(type_);
            assert!(message.contains(SAID) && message.contains(resource), "{message}");
        }
    }
}

#[test]
fn one_failure_of_a_step_is_not_told_and_what_was_told_ends_with_the_failures() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    let Decision::Act(arm) = scene.decide() else { panic!("{:?}", scene.decide()) };
    scene.refused_with(arm.clone(), "busy");
    scene.now += seconds(20);
    scene.refresh();
    scene.settle();
    assert_eq!(scene.condition(condition::READY).1, "Discovery");
    refuses(&mut scene, 2, "busy");
    assert_eq!(scene.condition(condition::READY).1, "BootOverrideFailed");
    scene.carried_out(arm);
    let boot = &mut scene.system().boot;
    (boot.enabled, boot.target) = (BootEnabled::Once, Some(BootSource::Pxe));
    scene.now += seconds(1);
    scene.refresh();
    assert_eq!(scene.decide(), Decision::Act(Step::Reset(ResetType::On)));
}

/// Runs passes for this many minutes with a BMC that refuses every step; returns the steps.
fn refuses(scene: &mut Scene, minutes: i64, said: &str) -> Vec<Step> {
    passes(scene, minutes, |scene, step| scene.refused_with(step.clone(), said))
}

#[test]
fn power_that_nobody_knows_is_told_as_that() {
    let waiting = || {
        let mut scene = Scene::in_discovery(BootState::Ready);
        scene.server.status.as_mut().unwrap().pending = None;
        scene
    };
    let booting = || Scene::in_discovery(BootState::Ready);
    let scenes: [&dyn Fn() -> Scene; 4] = [&waiting, &booting, &Scene::available, &Scene::reserved];
    for scene in scenes {
        let mut scene = scene();
        name(&mut scene);
        scene.system().power = PowerState::Unknown;
        scene.now += seconds(40);
        scene.refresh();
        scene.settle();
        assert_eq!(
            scene.condition(condition::READY),
            ("False", "PowerUnknown"),
            "{:?}",
            scene.state()
        );
        assert!(scene.message(condition::READY).contains("/redfish/v1/Systems/1"));
        let recorded = scene.server.status.clone();
        scene.now += minutes(1);
        scene.refresh();
        scene.settle();
        assert_eq!(scene.server.status, recorded, "said the same again");
        assert!(matches!(scene.decide(), Decision::Rest(time) if time >= seconds(30)));
    }
}

/// The name of its system.
fn name(scene: &mut Scene) {
    const URI: &str = "/redfish/v1/Systems/1";
    scene.system().uri = URI.to_owned();
    scene.server.spec.system_uri = Some(URI.to_owned());
}

/// Runs passes for this many minutes with a BMC that accepts every step; returns the steps.
fn run(scene: &mut Scene, minutes: i64, effect: impl Fn(&mut Scene, &Step)) -> Vec<Step> {
    passes(scene, minutes, |scene, step| {
        scene.carried_out(step.clone());
        effect(scene, step);
    })
}

/// Runs passes for this many minutes; returns the steps.
fn passes(scene: &mut Scene, minutes: i64, act: impl Fn(&mut Scene, &Step)) -> Vec<Step> {
    let mut steps = vec![];
    for _ in 0..minutes * 60 {
        scene.now += seconds(1);
        for _ in 0..5 {
            match scene.decide() {
                Decision::Look(_) => scene.refresh(),
                Decision::Record(status) => {
                    scene.server.status = Some(*status);
                    scene.recorded = Some(scene.now);
                }
                Decision::Act(step) => {
                    act(scene, &step);
                    scene.refresh();
                    steps.push(step);
                }
                Decision::Rest(_) => break,
                Decision::Change(change) => panic!("{change:?}"),
            }
        }
    }
    steps
}

#[test]
fn an_override_with_another_mode_is_another_override() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    run(&mut scene, 30, |_, _| {});
    assert_eq!(scene.condition(condition::READY), ("False", "BootOverrideIgnored"));
    scene.system().boot.allowable_modes = vec![BootMode::Legacy];
    scene.refresh();
    let arm = Step::BootOnce { source: BootSource::Pxe, mode: Some(BootMode::Legacy) };
    assert_eq!(scene.decide(), Decision::Act(arm));
}
