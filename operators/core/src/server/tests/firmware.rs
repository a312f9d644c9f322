//! What firmware shows, and what that means.

use super::{fixture::Scene, *};
use crate::redfish::{IndicatorLed, Inventory};

const ON: Step = Step::Reset(ResetType::On);
const ASK: Step = Step::Reset(ResetType::GracefulShutdown);

#[test]
fn an_override_in_the_wrong_mode_is_not_armed() {
    let arm = Step::BootOnce { source: BootSource::Pxe, mode: Some(BootMode::Uefi) };
    for told in [false, true] {
        let mut scene = armed();
        scene.started = T0 + seconds(1);
        scene.system().boot.mode = Some(BootMode::Legacy);
        if told {
            scene.carried_out(arm.clone());
            scene.now += seconds(10);
            scene.refresh();
        }
        assert_eq!(scene.decide(), Decision::Act(arm.clone()), "told: {told}");
        scene.system().boot.mode = Some(BootMode::Uefi);
        assert_eq!(scene.decide(), Decision::Act(ON), "told: {told}");
    }
}

#[test]
fn an_override_of_an_earlier_boot_is_set_again_by_the_next_process_too() {
    let arm = Step::BootOnce { source: BootSource::Pxe, mode: Some(BootMode::Uefi) };
    for intended_before in [true, false] {
        let mut scene = armed();
        scene.started = if intended_before { T0 + seconds(1) } else { T0 };
        scene.now += minutes(2);
        scene.refresh();
        if intended_before {
            assert_eq!(scene.decide(), Decision::Act(ON), "the previous process may have set it");
            continue;
        }
        assert_eq!(scene.decide(), Decision::Act(arm.clone()), "nobody has set it for this boot");
        scene.carried_out(arm.clone());
        assert_eq!(scene.decide(), Decision::Act(ON));
    }
}

#[test]
fn a_host_that_the_previous_process_may_have_just_started_is_not_set_to_boot_again() {
    let arm = Step::BootOnce { source: BootSource::Pxe, mode: Some(BootMode::Uefi) };
    let mut scene = Scene::reserved();
    assert_eq!(scene.decide(), Decision::Act(arm.clone()), "nobody has started it");
    scene.started = T0 + seconds(5);
    for second in [6, 59] {
        scene.now = T0 + seconds(second);
        scene.refresh();
        scene.settle();
        assert!(matches!(scene.decide(), Decision::Rest(_)), "after {second} s");
    }
    scene.now = T0 + minutes(1);
    scene.refresh();
    scene.settle();
    assert_eq!(scene.decide(), Decision::Act(arm.clone()));

    let mut discovery = Scene::in_discovery(BootState::Ready);
    discovery.started = T0 + seconds(5);
    discovery.now = T0 + seconds(6);
    discovery.refresh();
    discovery.settle();
    assert_eq!(discovery.decide(), Decision::Act(arm), "it has nothing that restarts");
}

#[test]
fn an_override_that_is_shown_counts_if_the_bmc_takes_no_other() {
    let mut scene = armed();
    let arm = Step::BootOnce { source: BootSource::Pxe, mode: Some(BootMode::Uefi) };
    for _ in 0..3 {
        assert_eq!(scene.decide(), Decision::Act(arm.clone()));
        scene.refused(arm.clone());
        scene.now += minutes(2);
        scene.refresh();
    }
    assert_eq!(scene.decide(), Decision::Act(ON));
}

#[test]
fn an_override_of_an_earlier_boot_is_set_again() {
    let mut scene = armed();
    scene.carried_out(ON);
    scene.now += minutes(2);
    scene.refresh();
    // The host is off again, and the board still shows the override that was used.
    let arm = Step::BootOnce { source: BootSource::Pxe, mode: Some(BootMode::Uefi) };
    assert_eq!(scene.decide(), Decision::Act(arm.clone()));
    scene.carried_out(arm);
    assert_eq!(scene.decide(), Decision::Act(ON));
}

#[test]
fn a_host_that_knows_only_the_button_is_asked_by_the_button() {
    for (allowed, power, asked) in [
        (
            vec![ResetType::On, ResetType::ForceOff, ResetType::PushPowerButton],
            PowerState::On,
            true,
        ),
        (vec![ResetType::PushPowerButton], PowerState::Paused, false),
        (vec![ResetType::On, ResetType::ForceOff, ResetType::Other], PowerState::On, false),
        (vec![ResetType::Other], PowerState::On, false),
        (vec![], PowerState::On, true),
    ] {
        let mut scene = Scene::available();
        scene.system().power = power;
        scene.system().reset_types = allowed.clone();
        scene.settle();
        let then = scene.decide();
        assert_eq!(then == Decision::Act(ASK), asked, "{allowed:?}: {then:?}");
        let conditions = &scene.server.status.as_ref().unwrap().conditions;
        let ready = conditions.iter().find(|c| c.type_ == condition::READY).unwrap();
        let cannot = ready.message.contains("supports neither");
        assert_eq!(cannot, !asked, "{allowed:?}: {}", ready.message);
    }
}

#[test]
fn a_host_with_a_button_is_not_cut_off_while_it_comes_up() {
    let mut scene = Scene::available();
    scene.settings.enforce_power_off = true;
    scene.system().power = PowerState::PoweringOn;
    scene.system().reset_types = vec![ResetType::ForceOff, ResetType::PushPowerButton];
    scene.settle();
    assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
    scene.system().power = PowerState::On;
    assert_eq!(scene.decide(), Decision::Act(ASK));
}

#[test]
fn a_host_that_was_asked_by_its_button_has_the_time_to_shut_down() {
    const CUT: Decision = Decision::Act(Step::Reset(ResetType::ForceOff));
    for asked in [true, false] {
        let mut scene = Scene::available();
        scene.settings.enforce_power_off = true;
        scene.system().power = PowerState::On;
        scene.system().reset_types = vec![ResetType::ForceOff, ResetType::PushPowerButton];
        scene.settle();
        if asked {
            scene.carried_out(ASK);
        }
        scene.system().power = PowerState::PoweringOff;
        scene.now += scene.settings.shutdown_grace - seconds(1);
        scene.refresh();
        scene.settle();
        assert!(matches!(scene.decide(), Decision::Rest(_)), "{asked}: {:?}", scene.decide());
        scene.now += seconds(1);
        scene.refresh();
        scene.settle();
        assert_eq!(scene.decide(), CUT, "{asked}");
    }
}

#[test]
fn a_light_that_can_only_shine_is_told_once_to_blink() {
    let blink = Step::IndicatorLed(IndicatorLed::Blinking);
    let mut scene = Scene::available();
    scene.server.spec.indicator_led = Some("Blinking".into());
    scene.system().indicator_led = Some(IndicatorLed::Off);
    scene.settle();
    assert_eq!(scene.decide(), Decision::Act(blink.clone()));
    scene.carried_out(blink.clone());
    scene.system().indicator_led = Some(IndicatorLed::Lit);
    scene.settle();
    assert!(matches!(scene.decide(), Decision::Rest(_)), "it did what it can");
    scene.carried_out(ASK);
    assert_eq!(scene.decide(), Decision::Act(blink), "whoever lit it");
}

#[test]
fn a_part_that_was_missing_is_read_again_at_rest() {
    let mut scene = Scene::new();
    let missing = vec!["/redfish/v1/Systems/1/Storage/1: HTTP 503".to_owned()];
    scene.inventory = Some(Inventory { missing, ..Inventory::default() });
    scene.record();
    let status = scene.server.status.clone().unwrap();
    let mut scene = Scene::available();
    scene
        .server
        .status
        .as_mut()
        .unwrap()
        .conditions
        .extend(status.conditions.into_iter().filter(|c| c.type_ == condition::INVENTORY_COMPLETE));
    scene.inventory = None;
    scene.settle();
    assert_eq!(scene.decide(), Decision::Look(Need::Inventory));
    scene.inventory = Some(Inventory::default());
    scene.now += minutes(1);
    scene.refresh();
    scene.settle();
    let conditions = &scene.server.status.as_ref().unwrap().conditions;
    assert!(conditions.iter().all(|c| c.type_ != condition::INVENTORY_COMPLETE));
    assert!(matches!(scene.decide(), Decision::Rest(_)));
}

#[test]
fn a_host_that_boots_itself_first_loses_an_override_that_lasts() {
    let mut scene = Scene::reserved();
    scene.annotate(annotation::BOOT_METHOD, "disk");
    let boot = &mut scene.system().boot;
    (boot.enabled, boot.target) = (BootEnabled::Continuous, Some(BootSource::Pxe));
    scene.settle();
    let clear = Step::BootOnce { source: BootSource::None, mode: None };
    assert_eq!(scene.decide(), Decision::Act(clear.clone()));
    // Some show it forever: they are told once.
    scene.carried_out(clear);
    assert_eq!(scene.decide(), Decision::Act(ON));
}

/// In discovery, off, with an override set.
fn armed() -> Scene {
    let mut scene = Scene::in_discovery(BootState::Ready);
    let boot = &mut scene.system().boot;
    (boot.enabled, boot.target) = (BootEnabled::Once, Some(BootSource::Pxe));
    boot.mode = Some(BootMode::Uefi);
    scene
}

#[test]
fn a_running_host_that_its_bmc_shows_as_off_for_a_moment_does_not_become_ours() {
    let mut scene = Scene::new();
    scene.system().power = PowerState::On;
    scene.record();
    scene.prepare(BootState::Ready);
    for (power, off_for) in [
        (PowerState::Off, Some(seconds(0))),
        (PowerState::Off, Some(seconds(59))),
        (PowerState::On, None),
        (PowerState::Off, Some(seconds(0))),
    ] {
        scene.now += minutes(2);
        (scene.system().power, scene.off_for) = (power, off_for);
        scene.refresh();
        scene.settle();
        assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
        assert_eq!(scene.pending(), None, "{power} {off_for:?}");
    }
    assert_eq!(scene.condition(condition::READY), ("False", "WaitingForPowerOn"));
    scene.off_for = Some(minutes(1));
    scene.settle();
    assert_eq!(scene.pending(), Some(PendingKind::NetworkBoot));
}

#[test]
fn a_claimed_host_that_its_bmc_shows_as_off_for_a_moment_is_not_set_to_boot_again() {
    let mut scene = Scene::reserved();
    scene.system().power = PowerState::On;
    scene.settle();
    scene.now += minutes(10);
    (scene.system().power, scene.off_for) = (PowerState::Off, Some(seconds(0)));
    scene.refresh();
    scene.settle();
    assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
    assert_eq!(scene.condition(condition::READY), ("False", "WaitingForPowerOn"));
    let was_on = |scene: &Scene| was_on(scene.server.status.as_ref().unwrap());
    assert!(was_on(&scene), "a process that starts now makes certain, too");
    scene.off_for = Some(minutes(1));
    scene.settle();
    assert!(!was_on(&scene), "it is certain");
    assert!(matches!(scene.decide(), Decision::Act(Step::BootOnce { .. })));
}

#[test]
fn after_a_restart_a_host_that_may_be_on_is_not_off_because_a_change_of_its_power_was_pending() {
    use PendingKind::{NetworkBoot, PowerOff};
    use metal_api::PowerState::{Off, On};
    let mut scene = Scene::in_discovery(BootState::Ready);
    let status = scene.server.status.as_mut().unwrap();
    for (kind, power, makes_certain) in [
        (PowerOff, On, true),
        (PowerOff, Off, false),
        (NetworkBoot, On, true),
        (NetworkBoot, Off, false),
    ] {
        status.pending.as_mut().unwrap().kind = kind.clone();
        status.power_state = Some(power.clone());
        assert_eq!(was_on(status), makes_certain, "{kind} {power}");
    }
}

#[test]
fn a_discovery_goes_on_though_no_process_lives_for_long_enough_to_make_certain() {
    use PendingKind::{NetworkBoot, PowerOff};
    for (state, kind) in [(ServerState::Initial, PowerOff), (ServerState::Discovery, NetworkBoot)] {
        let mut scene = Scene::in_discovery(BootState::Ready);
        let status = scene.server.status.as_mut().unwrap();
        (status.state, status.power_state) = (Some(state), Some(metal_api::PowerState::On));
        status.pending.as_mut().unwrap().kind = kind;
        assert!(was_on(status));
        // A process that has just started reads it as off, and ends soon after.
        (scene.recorded, scene.off_for) = (None, Some(SignedDuration::ZERO));
        scene.settle();
        assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
        assert!(!was_on(scene.server.status.as_ref().unwrap()), "the next one boots it");
    }
}
