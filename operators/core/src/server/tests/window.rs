//! When a machine may fetch what it boots.

use super::{
    fixture::{minutes, seconds},
    *,
};
use metal_api::{BootWindow, ObjectReference, Power};

#[test]
fn the_window_is_recorded_before_the_machine_is_armed_and_without_a_write_of_its_own() {
    let mut scene = Scene::new();
    scene.record();
    let window = scene.window().unwrap().clone();
    assert_eq!(window.boot_configuration_ref, ObjectReference::new("manager", "server-a"));
    assert_eq!((window.opened.0, window.closes.0), (T0, T0 + minutes(30)));
    assert_eq!(scene.pending(), Some(PendingKind::NetworkBoot), "one write has both");
    scene.prepare(BootState::Ready);
    scene.now += seconds(60);
    scene.refresh();
    assert!(matches!(scene.decide(), Decision::Act(Step::BootOnce { .. })));
}

#[test]
fn a_claimed_machine_gets_its_window_with_the_intent() {
    let mut scene = Scene::reserved();
    scene.server.status.as_mut().unwrap().pending = None;
    scene.server.status.as_mut().unwrap().boot_window = None;
    scene.record();
    assert_eq!(scene.pending(), Some(PendingKind::NetworkBoot));
    let window = scene.window().unwrap();
    assert_eq!(window.boot_configuration_ref, ObjectReference::new("tenant", "claim"));
    assert!(matches!(scene.decide(), Decision::Act(Step::BootOnce { .. })));
}

#[test]
fn a_machine_is_neither_armed_nor_switched_on_in_a_window_that_is_old_or_lost() {
    for lose in [false, true] {
        let mut scene = Scene::in_discovery(BootState::Ready);
        scene.carried_out(Step::BootOnce { source: BootSource::Pxe, mode: Some(BootMode::Uefi) });
        let boot = &mut scene.system().boot;
        (boot.enabled, boot.target) = (BootEnabled::Once, Some(BootSource::Pxe));
        assert_eq!(scene.decide(), Decision::Act(Step::Reset(ResetType::On)));
        scene.now += if lose { seconds(1) } else { minutes(8) };
        scene.refresh();
        if lose {
            scene.server.status.as_mut().unwrap().boot_window = None;
        }
        scene.record();
        assert_eq!(scene.window().unwrap().opened.0, scene.now);
        assert_eq!(scene.decide(), Decision::Act(Step::Reset(ResetType::On)));
    }
}

#[test]
fn a_window_that_is_lost_in_a_boot_of_ours_is_opened_again_for_the_rest_of_its_time() {
    let mut scene = Scene::reserved();
    scene.carried_out(Step::Reset(ResetType::On));
    let begun = scene.now;
    scene.system().power = PowerState::On;
    scene.settle();
    scene.server.status.as_mut().unwrap().boot_window = None;
    scene.now += minutes(10);
    scene.refresh();
    scene.settle();
    let window = scene.window().unwrap();
    assert_eq!(window.boot_configuration_ref, ObjectReference::new("tenant", "claim"));
    assert_eq!((window.opened.0, window.closes.0), (begun, begun + minutes(30)));
    // Repeating it makes the window no longer, and it does not outlive its boot.
    let lose = |scene: &mut Scene| {
        scene.server.status.as_mut().unwrap().boot_window = None;
        scene.refresh();
        scene.settle();
        scene.window().cloned()
    };
    scene.now = begun + minutes(30);
    assert_eq!(lose(&mut scene), None);
    scene.now = begun + minutes(10);
    scene.annotate(annotation::BOOT_METHOD, "disk");
    assert_eq!(lose(&mut scene), None);
    scene.server.metadata.annotations = None;
    scene.configuration_condition(condition::BOOT_STATE_RECEIVED, "True");
    assert_eq!(lose(&mut scene), None);
    scene.configuration = None;
    assert_eq!(lose(&mut scene), None);
}

#[test]
fn a_window_that_is_lost_while_the_host_runs_stays_lost_where_nobody_knows_of_its_boot() {
    let mut scene = Scene::reserved();
    scene.system().power = PowerState::On;
    scene.settle();
    scene.server.status.as_mut().unwrap().boot_window = None;
    scene.now += minutes(1);
    scene.refresh();
    scene.settle();
    assert_eq!(scene.window(), None);
    assert!(matches!(scene.decide(), Decision::Rest(_)));
}

#[test]
fn a_host_that_was_started_before_its_server_was_claimed_gets_no_window_of_the_claim() {
    let mut scene = Scene::reserved();
    scene.carried_out(Step::Reset(ResetType::On));
    scene.system().power = PowerState::On;
    scene.settle();
    let entered = scene.now + seconds(5);
    let status = scene.server.status.as_mut().unwrap();
    (status.boot_window, status.state_since) = (None, Some(Time(entered)));
    scene.now += minutes(1);
    scene.refresh();
    scene.settle();
    assert_eq!(scene.window(), None);
}

#[test]
fn a_boot_configuration_that_is_made_again_during_a_boot_has_the_rest_of_its_window() {
    for (passed, is_passed_on) in [(10, true), (30, false)] {
        let mut scene = Scene::reserved();
        let made = |scene: &mut Scene, uid: &str| {
            scene.configuration.as_mut().unwrap().metadata.uid = Some(uid.to_owned());
        };
        made(&mut scene, "one");
        scene.server.status.as_mut().unwrap().boot_window = None;
        scene.settle();
        let opened = scene.window().unwrap().clone();
        assert_eq!(opened.boot_configuration_uid.as_deref(), Some("one"));
        scene.carried_out(Step::Reset(ResetType::On));
        scene.system().power = PowerState::On;
        scene.settle();
        made(&mut scene, "two");
        scene.now += minutes(passed);
        scene.refresh();
        scene.settle();
        let uid = if is_passed_on { "two" } else { "one" };
        let boot_configuration_uid = Some(uid.to_owned());
        assert_eq!(scene.window(), Some(&BootWindow { boot_configuration_uid, ..opened }));
    }
}

#[test]
fn a_window_that_was_closed_because_the_host_may_be_another_programs_stays_closed() {
    let mut scene = Scene::reserved();
    scene.carried_out(Step::Reset(ResetType::On));
    scene.system().power = PowerState::On;
    scene.settle();
    assert!(scene.window().unwrap().closes.0 > scene.now);
    let closed = scene.now + minutes(1);
    for machines in [vec!["node-01".to_owned()], vec![]] {
        scene.machines = machines;
        scene.now += minutes(1);
        scene.refresh();
        scene.settle();
        assert_eq!(scene.window().unwrap().closes.0, closed);
    }
}

#[test]
fn the_report_of_the_discovery_closes_its_window() {
    let scene = Scene::available();
    assert_eq!(scene.window(), None);
}

#[test]
fn a_discovery_that_took_too_long_has_no_window_until_it_begins_again() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    scene.system().power = PowerState::On;
    scene.now += scene.settings.discovery_timeout;
    scene.refresh();
    scene.record();
    assert_eq!((scene.state(), scene.window()), (ServerState::Initial, None));
    scene.system().power = PowerState::Off;
    scene.record();
    assert_eq!(scene.state(), ServerState::Discovery);
    assert_eq!(scene.window().unwrap().opened.0, scene.now);
}

#[test]
fn a_tenant_that_says_it_is_up_closes_its_window_and_an_earlier_boot_does_not() {
    let mut scene = Scene::reserved();
    scene.system().power = PowerState::On;
    scene.settle();
    let closes = scene.window().unwrap().closes.0;
    scene.server.status.as_mut().unwrap().boot_window.as_mut().unwrap().opened =
        Time(T0 + seconds(1));
    scene.configuration_condition(condition::BOOT_STATE_RECEIVED, "True");
    scene.settle();
    assert_eq!(scene.window().unwrap().closes.0, closes, "it was said before");
    scene.server.status.as_mut().unwrap().boot_window.as_mut().unwrap().opened = Time(T0);
    scene.record();
    assert_eq!(scene.window().unwrap().closes.0, scene.now);
    scene.settle();
}

#[test]
fn who_is_to_be_off_or_is_let_go_has_no_window() {
    let mut off = Scene::reserved();
    off.system().power = PowerState::On;
    off.settle();
    let mut gone = Scene::reserved();
    gone.system().power = PowerState::On;
    gone.settle();
    off.claim.as_mut().unwrap().spec.power = Power::Off;
    off.settle();
    assert_eq!((off.pending(), off.window()), (Some(PendingKind::PowerOff), None));
    (gone.claim, gone.claim_is_gone) = (None, true);
    gone.settle();
    assert_eq!((gone.pending(), gone.window()), (Some(PendingKind::PowerOff), None));
}

#[test]
fn a_host_that_boots_what_it_finds_gets_no_window() {
    let mut scene = Scene::reserved();
    scene.annotate(annotation::BOOT_METHOD, "disk");
    scene.server.status.as_mut().unwrap().boot_window = None;
    scene.now += minutes(60);
    scene.refresh();
    scene.settle();
    assert_eq!(scene.window(), None);
    assert_eq!(scene.decide(), Decision::Act(Step::Reset(ResetType::On)));
}

#[test]
fn a_host_that_restarts_by_itself_gets_a_new_window_only_where_that_is_wanted() {
    for (method, is_new) in [("network-always", true), ("ipxe", false), ("", false)] {
        let mut scene = running(method);
        scene.system().last_reset = Some(T0);
        scene.now += minutes(60);
        scene.refresh();
        scene.settle();
        assert_eq!(scene.window().unwrap().opened.0, T0, "nothing has happened");
        scene.system().last_reset = Some(scene.now - seconds(90));
        scene.settle();
        assert_eq!(scene.window().unwrap().opened.0 == scene.now, is_new, "{method}");
        assert!(matches!(scene.decide(), Decision::Rest(_)));
        let opened = scene.window().unwrap().opened.0;
        scene.now += minutes(10);
        scene.refresh();
        scene.settle();
        assert_eq!(scene.window().unwrap().opened.0, opened, "one reset opens one window");
    }
}

#[test]
fn a_reset_is_noticed_by_its_change_whatever_the_clock_of_the_bmc_shows() {
    for hours in [-5, 0, 8] {
        let mut scene = running("network-always");
        let on_the_bmc = |at: Timestamp| Some(at + minutes(60 * hours));
        let began = T0 + minutes(600);
        scene.now = began;
        scene.system().last_reset = on_the_bmc(T0);
        scene.refresh();
        scene.settle();
        let opened = |scene: &Scene| scene.window().unwrap().opened.0;
        assert_eq!(opened(&scene), T0, "{hours}: it may be an old reset");
        // Computed from the uptime of the host, it is never quite the same.
        scene.system().last_reset = on_the_bmc(T0 + seconds(2));
        scene.now += minutes(1);
        scene.refresh();
        scene.settle();
        assert_eq!(opened(&scene), T0, "{hours}: it is the same reset");
        scene.now += minutes(1);
        scene.system().last_reset = on_the_bmc(scene.now - seconds(10));
        scene.refresh();
        scene.settle();
        assert_eq!(opened(&scene), scene.now, "{hours}");
        // When the clock of the BMC gets there, nothing happens.
        let last = opened(&scene);
        scene.now += minutes(60 * 9);
        scene.refresh();
        scene.settle();
        assert_eq!(opened(&scene), last, "{hours}");
    }
}

#[test]
fn a_host_that_was_seen_off_boots_in_a_new_window_where_that_is_wanted() {
    let mut scene = running("network-always");
    scene.server.status.as_mut().unwrap().power_state = Some(metal_api::PowerState::PoweringOff);
    scene.now += minutes(60);
    scene.refresh();
    scene.record();
    assert_eq!(scene.window().unwrap().opened.0, scene.now);
}

#[test]
fn our_own_power_on_opens_no_second_window() {
    let mut scene = Scene::reserved();
    scene.annotate(annotation::BOOT_METHOD, "network-always");
    scene.settle();
    scene.now += seconds(30);
    scene.refresh();
    scene.system().power = PowerState::On;
    scene.system().last_reset = Some(scene.now - seconds(10));
    scene.settle();
    assert_eq!(scene.window().unwrap().opened.0, T0);
}

/// A claimed host that was booted at [`T0`] and has been on since.
fn running(method: &str) -> Scene {
    let mut scene = Scene::reserved();
    scene.annotate(annotation::BOOT_METHOD, method);
    scene.settle();
    scene.system().power = PowerState::On;
    scene.now += seconds(30);
    scene.refresh();
    scene.settle();
    scene
}

impl Scene {
    fn window(&self) -> Option<&BootWindow> {
        self.server.status.as_ref()?.boot_window.as_ref()
    }
}
