//! Switching hosts off.

use super::*;

#[test]
fn available_host_that_runs_is_shut_down_and_cut_only_where_that_is_enforced() {
    for (enforced, step) in [
        (false, Decision::Rest(seconds(5))),
        (true, Decision::Act(Step::Reset(ResetType::ForceOff))),
    ] {
        let mut scene = Scene::available();
        scene.settings.enforce_power_off = enforced;
        scene.system().power = PowerState::On;
        scene.record();
        assert_eq!(scene.pending(), Some(PendingKind::PowerOff));
        let ask = Step::Reset(ResetType::GracefulShutdown);
        assert_eq!(scene.decide(), Decision::Act(ask.clone()));
        scene.carried_out(ask);
        scene.system().power = PowerState::PoweringOff;
        scene.now += scene.settings.shutdown_grace;
        scene.refresh();
        scene.settle();
        assert_eq!(scene.decide(), step);
    }
}

#[test]
fn host_that_was_told_to_shut_down_is_looked_at_soon_and_then_ever_less_often() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    scene.report_for("uid-1.1");
    scene.server.spec.boot_configuration_ref = None;
    scene.carried_out(Step::Reset(ResetType::GracefulShutdown));
    // What was read before no longer counts.
    let reading = scene.reading.take();
    let mut looks = Vec::new();
    for tenth in 0..100 {
        scene.now = T0 + SignedDuration::from_millis(100 * tenth);
        if scene.decide() == Decision::Look(Need::System) {
            looks.push(tenth);
            scene.reading.clone_from(&reading);
            scene.system().power = PowerState::PoweringOff;
            scene.refresh();
        }
    }
    assert_eq!(looks, [10, 20, 40, 80]);
}

#[test]
fn a_host_is_not_looked_at_before_it_can_have_changed_unless_its_power_was_cut() {
    use ResetType::{ForceOff, GracefulShutdown, On};
    for (reset, waits) in [(On, true), (GracefulShutdown, true), (ForceOff, false)] {
        let mut scene = Scene::in_discovery(BootState::Ready);
        scene.carried_out(Step::Reset(reset));
        scene.reading = None;
        let look = Decision::Look(Need::System);
        let first = if waits { Decision::Rest(seconds(1)) } else { look.clone() };
        assert_eq!(scene.decide(), first, "{reset}");
        scene.now += seconds(1);
        assert_eq!(scene.decide(), look, "{reset}");
        // The clock was set back.
        scene.now -= minutes(10);
        assert_eq!(scene.decide(), look, "{reset}");
    }
}

#[test]
fn power_that_nobody_knows_is_never_acted_on() {
    let mut scene = Scene::available();
    scene.system().power = PowerState::Unknown;
    scene.settle();
    assert!(matches!(scene.decide(), Decision::Rest(_)));
}

#[test]
fn shutdown_that_an_earlier_process_may_have_sent_is_not_sent_again_at_once() {
    let mut scene = Scene::available();
    scene.system().power = PowerState::On;
    scene.record();
    scene.started = scene.now + seconds(1);
    scene.now += seconds(2);
    scene.refresh();
    assert!(matches!(scene.decide(), Decision::Rest(_)));
    scene.now += minutes(1);
    scene.refresh();
    assert_eq!(scene.decide(), Decision::Act(Step::Reset(ResetType::GracefulShutdown)));
}

#[test]
fn what_a_person_has_booted_after_the_last_attempt_stays_on_after_a_retry() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    scene.settings.discovery_attempts = 1;
    scene.system().power = PowerState::On;
    scene.now += scene.settings.discovery_timeout;
    scene.refresh();
    scene.settle();
    assert_eq!(scene.state(), ServerState::Error);
    for power in [PowerState::Off, PowerState::On] {
        scene.system().power = power;
        scene.refresh();
        scene.settle();
    }
    scene.annotate(annotation::OPERATION, "retry");
    scene.record();
    scene.server.metadata.annotations = None;
    scene.settle();
    assert_eq!((scene.state(), scene.pending()), (ServerState::Discovery, None));
}
