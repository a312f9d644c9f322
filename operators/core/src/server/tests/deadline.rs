//! Deadlines count from the action, not from the intent that was recorded before it.

use super::{
    super::{Change, Decision, Need},
    T0,
    fixture::{Scene, minutes, seconds},
};
use crate::redfish::{PowerState, ResetType, Step};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{BootState, ServerState, condition};

const ASK: Step = Step::Reset(ResetType::GracefulShutdown);
const CUT: Step = Step::Reset(ResetType::ForceOff);

#[test]
fn power_is_cut_a_grace_period_after_the_request_and_not_after_the_decision() {
    let mut scene = shutting_down();
    // The process sleeps, or waits for its turn at the BMC.
    scene.now += minutes(10);
    scene.refresh();
    assert_eq!(scene.decide(), Decision::Act(ASK), "nobody has asked yet");
    scene.carried_out(ASK);
    let asked = scene.now;
    for second in [1, 60, 119] {
        scene.now = asked + seconds(second);
        scene.refresh();
        assert_ne!(scene.decide(), Decision::Act(CUT), "after {second} s");
    }
    scene.now = asked + scene.settings.shutdown_grace;
    scene.refresh();
    assert_eq!(scene.decide(), Decision::Act(CUT));
}

#[test]
fn a_process_that_starts_in_the_middle_of_a_shutdown_asks_before_it_cuts() {
    for power in [PowerState::On, PowerState::PoweringOff] {
        let mut scene = shutting_down();
        scene.system().power = power;
        scene.now += minutes(10);
        scene.started = scene.now - seconds(1);
        let mut asked = None;
        for second in 0..600 {
            scene.now += seconds(1);
            scene.refresh();
            match scene.decide() {
                Decision::Act(step) if step == CUT => {
                    let waited = scene.now.duration_since(asked.expect("cut without a request"));
                    assert_eq!(waited, scene.settings.shutdown_grace, "{power}");
                    break;
                }
                Decision::Act(step) => {
                    assert_eq!(step, ASK);
                    asked.get_or_insert(scene.now);
                    scene.carried_out(step);
                }
                Decision::Record(status) => scene.server.status = Some(*status),
                Decision::Rest(_) => {}
                other @ (Decision::Look(_) | Decision::Change(_)) => panic!("{other:?}"),
            }
            assert!(second < 599, "never cut: {power}");
        }
    }
}

#[test]
fn a_shutdown_decided_in_the_second_of_the_start_is_asked_for_at_once() {
    for (started, now) in [(0, 0), (400, 700), (999, 999), (1, 999)] {
        let mut scene = Scene::available();
        let at = |millis| T0 + seconds(100) + SignedDuration::from_millis(millis);
        (scene.started, scene.now) = (at(started), at(now));
        scene.system().power = PowerState::On;
        scene.refresh();
        scene.record();
        scene.store();
        assert_eq!(scene.decide(), Decision::Act(ASK), "started {started}, decided {now}");
    }
}

#[test]
fn a_report_of_the_second_of_the_start_is_answered_when_nobody_else_seems_to_have() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    scene.started = T0 + SignedDuration::from_millis(100);
    scene.now = T0 + SignedDuration::from_millis(900);
    scene.system().power = PowerState::On;
    scene.refresh();
    scene.report_for("uid-1.1");
    scene.report.as_mut().unwrap().spec.received_time = Some(Time(T0));
    // The previous process may have asked in the same second, unless this one was already running.
    scene.recorded = Some(scene.now);
    assert_eq!(scene.decide(), Decision::Act(ASK));
    scene.recorded = None;
    assert_eq!(scene.decide(), Decision::Change(Change::DropConfiguration));
    scene.server.spec.boot_configuration_ref = None;
    for (second, asks) in [(1, false), (4, false), (5, true)] {
        scene.now = T0 + seconds(second);
        scene.refresh();
        assert_eq!(scene.decide() == Decision::Act(ASK), asks, "after {second} s");
    }
}

#[test]
fn a_reading_of_the_future_is_not_acted_on() {
    let mut scene = shutting_down();
    scene.read_at = scene.now + minutes(10);
    assert_eq!(scene.decide(), Decision::Look(Need::System));
    let mut scene = Scene::available();
    scene.read_at = scene.now + minutes(10);
    assert_eq!(scene.decide(), Decision::Look(Need::System));
}

#[test]
fn a_discovery_boot_has_its_time_from_power_on_whichever_process_watches() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    scene.system().power = PowerState::On;
    // Its image was ready after hours; then another process took over.
    scene.now += minutes(600);
    scene.started = scene.now - seconds(1);
    scene.refresh();
    scene.settle();
    assert_eq!(scene.state(), ServerState::Discovery);
    scene.now = scene.started + scene.settings.discovery_timeout;
    scene.refresh();
    scene.record();
    assert_eq!(scene.state(), ServerState::Initial);
}

#[test]
fn a_medium_stays_until_a_host_that_was_switched_on_late_has_booted() {
    let mut scene = Scene::reserved();
    let inserted = k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition {
        type_: condition::MEDIUM_INSERTED.to_owned(),
        status: "True".to_owned(),
        reason: "VirtualMedia".to_owned(),
        message: "boot-uid".to_owned(),
        observed_generation: None,
        last_transition_time: Time(T0),
    };
    scene.server.status.as_mut().unwrap().conditions.push(inserted);
    scene.system().power = PowerState::On;
    scene.settle();
    scene.now = T0 + minutes(19);
    scene.carried_out(Step::Reset(ResetType::On));
    let looks = |scene: &mut Scene, after: SignedDuration| {
        scene.now = T0 + after;
        scene.refresh();
        scene.settle();
        scene.decide() == Decision::Look(Need::Media)
    };
    assert!(!looks(&mut scene, minutes(31)), "12 min after power-on");
    assert!(looks(&mut scene, minutes(49)));
}

#[test]
fn a_host_that_restarts_again_and_again_fails_its_discovery_all_the_same() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    scene.carried_out(Step::Reset(ResetType::On));
    scene.system().power = PowerState::On;
    let limit = scene.settings.discovery_timeout * 2;
    let mut failed = None;
    for minute in 1..=90 {
        scene.now = T0 + minutes(minute);
        // It restarts every three minutes, or its BMC reports the current time as the last reset.
        scene.system().last_reset = Some(T0 + minutes(minute / 3 * 3));
        scene.refresh();
        scene.settle();
        if scene.state() == ServerState::Initial {
            failed = Some(minutes(minute));
            break;
        }
    }
    assert_eq!(failed, Some(limit), "one restart has its time, and no other");
}

#[test]
fn a_reading_counts_from_when_it_was_asked_for() {
    // The host reported while the BMC was about to show it as off.
    let mut scene = Scene::in_discovery(BootState::Ready);
    scene.now += minutes(1);
    scene.report_for("uid-1.1");
    scene.now += seconds(10);
    (scene.read_at, scene.took) = (scene.now, seconds(20));
    scene.server.spec.boot_configuration_ref = None;
    assert_eq!(scene.decide(), Decision::Look(Need::System));
    scene.took = seconds(4);
    scene.record();
    assert_eq!(scene.state(), ServerState::Available);
}

#[test]
fn a_bmc_that_takes_long_to_answer_is_acted_on_all_the_same() {
    let mut scene = shutting_down();
    scene.took = seconds(25);
    scene.now += seconds(30);
    scene.refresh();
    assert_eq!(scene.decide(), Decision::Act(ASK));
}

#[test]
fn a_restart_of_the_host_has_the_time_of_a_boot() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    scene.carried_out(Step::Reset(ResetType::On));
    scene.system().power = PowerState::On;
    scene.system().last_reset = Some(T0 + minutes(20));
    for (minute, state) in [(49, ServerState::Discovery), (50, ServerState::Initial)] {
        scene.now = T0 + minutes(minute);
        scene.refresh();
        scene.settle();
        assert_eq!(scene.state(), state, "after {minute} min");
    }
}

/// A host that is on and should be off, by force if necessary.
fn shutting_down() -> Scene {
    let mut scene = Scene::available();
    scene.settings.enforce_power_off = true;
    scene.started = Timestamp::from_second(-60).unwrap();
    scene.system().power = PowerState::On;
    scene.record();
    scene
}
