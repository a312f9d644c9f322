//! States written by others that are about an earlier request.

use super::{fixture::*, *};

#[test]
fn a_host_is_not_started_on_the_readiness_of_what_its_claim_no_longer_asks_for() {
    let boots = |edit: &dyn Fn(&mut Scene)| {
        let mut scene = Scene::reserved();
        scene.now += seconds(60);
        scene.refresh();
        edit(&mut scene);
        scene.settle();
        !matches!(scene.decide(), Decision::Rest(_))
    };
    assert!(boots(&|_| ()));
    let generations = |scene: &mut Scene, now: i64, seen: Option<i64>| {
        let configuration = scene.configuration.as_mut().unwrap();
        configuration.metadata.generation = Some(now);
        configuration.status.as_mut().unwrap().observed_generation = seen;
    };
    assert!(boots(&|scene| generations(scene, 2, Some(2))));
    assert!(boots(&|scene| generations(scene, 2, None)), "other boot operators do not say it");
    assert!(!boots(&|scene| generations(scene, 2, Some(1))));
    let image = |scene: &mut Scene| scene.claim.as_mut().unwrap().spec.image = "other".to_owned();
    assert!(!boots(&image), "the boot configuration is not the claim's any more");
}

#[test]
fn what_fails_again_and_again_is_in_a_condition_whatever_step_it_is() {
    let mut scene = Scene::in_discovery(BootState::Pending);
    scene.configuration = None;
    let prepares = Decision::Change(Change::PrepareDiscovery { attempt: 1 });
    assert_eq!(scene.decide(), prepares);
    let failure = |repeated| Failure { reason: "Write", text: "quota".to_owned(), repeated };
    scene.failure = Some(failure(false));
    assert_eq!(scene.decide(), prepares, "a single failure costs no write");
    scene.failure = Some(failure(true));
    scene.record();
    assert_eq!(scene.condition(condition::RECONCILED), ("False", "Write"));
    assert_eq!(scene.decide(), prepares, "it is tried again");
}

#[test]
fn what_fails_again_and_again_while_looking_is_in_a_condition_and_nothing_else_is() {
    for need in [Need::System, Need::Inventory, Need::Media, Need::Claim, Need::Report] {
        let mut scene = lacking(need);
        scene.started = scene.now - minutes(1);
        let look = Decision::Look(need);
        assert_eq!(scene.decide(), look);
        let failure = |repeated| Failure { reason: "Read", text: "forbidden".to_owned(), repeated };
        scene.failure = Some(failure(false));
        assert_eq!(scene.decide(), look, "a single failure costs no write");
        scene.failure = Some(failure(true));
        scene.server.metadata.generation = Some(7);
        let before = scene.server.status.clone().unwrap_or_default();
        scene.record();
        assert_eq!(scene.condition(condition::RECONCILED), ("False", "Read"), "{need:?}");
        let mut after = scene.server.status.clone().unwrap();
        after.conditions.retain(|it| it.type_ != condition::RECONCILED);
        assert_eq!(after, before, "{need:?}: the rest is not known");
        assert_eq!(scene.decide(), look, "it is tried again");
    }
}

#[test]
fn a_record_of_before_the_clock_was_set_back_delays_no_other() {
    let mut scene = Scene::available();
    scene.settle();
    scene.recorded = Some(scene.now + minutes(60));
    scene.system().last_reset = Some(scene.now);
    scene.record();
    assert!(scene.server.status.as_ref().unwrap().last_reset_time.is_some());
}

#[test]
fn a_report_of_a_clock_that_is_ahead_is_dealt_with_now() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    scene.report_for("uid-1.1");
    let inventory = scene.report.as_mut().unwrap();
    inventory.spec.received_time = Some(Time(scene.now + minutes(10)));
    scene.now += seconds(5);
    scene.refresh();
    scene.now += seconds(1);
    let change = Decision::Change(Change::DropConfiguration);
    assert_eq!(scene.decide(), change, "nobody waits for ten minutes");
}

#[test]
fn what_began_before_the_clock_was_set_back_begins_now() {
    // Clocks of two processes differ a little.
    for (ahead, counts) in [(minutes(480), true), (seconds(30), false)] {
        let mut scene = Scene::in_discovery(BootState::Ready);
        scene.system().power = PowerState::On;
        let at = scene.now + ahead;
        let closes = at + minutes(30);
        let status = scene.server.status.as_mut().unwrap();
        status.pending.as_mut().unwrap().since = Time(at);
        status.state_since = Some(Time(at));
        let window = status.boot_window.as_mut().unwrap();
        (window.opened, window.closes) = (Time(at), Time(closes));
        scene.settle();
        let status = scene.server.status.as_ref().unwrap();
        let window = status.boot_window.as_ref().unwrap();
        let begun = if counts { scene.now } else { at };
        let times = [status.pending.as_ref().unwrap().since.0, window.opened.0, window.closes.0];
        assert_eq!(times, [begun, begun, begun + minutes(30)], "{ahead}");
        let since = status.state_since.as_ref().unwrap().0;
        assert_eq!(since, begun, "the intent is not older than its state");
        // Nobody waits for eight hours and a half.
        scene.now += minutes(31);
        scene.refresh();
        scene.record();
        assert_eq!(
            (scene.state(), scene.pending()),
            (ServerState::Initial, Some(PendingKind::PowerOff))
        );
    }
}

#[test]
fn a_medium_of_before_the_clock_was_set_back_is_not_valid_for_longer() {
    let mut scene = Scene::with_drives();
    scene.record();
    scene.prepare(BootState::Ready);
    scene.settle();
    let conditions = &mut scene.server.status.as_mut().unwrap().conditions;
    let medium = conditions.iter_mut().find(|it| it.type_ == condition::MEDIUM_INSERTED).unwrap();
    medium.last_transition_time = Time(T0 + minutes(480));
    scene.settle();
    let medium = medium_of(&scene.server).unwrap();
    assert_eq!(medium.expires, scene.now + minutes(60));
}

#[test]
fn a_released_server_asks_before_it_believes_that_its_claim_is_gone() {
    let mut scene = Scene::reserved();
    scene.server.status.as_mut().unwrap().state = Some(ServerState::Released);
    scene.system().power = PowerState::On;
    scene.claim = None;
    assert_eq!(scene.decide(), Decision::Look(Need::Claim));
}

/// A server that needs this for its next decision.
fn lacking(need: Need) -> Scene {
    match need {
        Need::System => Scene { reading: None, ..Scene::available() },
        Need::Inventory => Scene { inventory: None, ..Scene::new() },
        Need::Media => {
            let mut scene = Scene::with_drives();
            scene.record();
            scene.prepare(BootState::Ready);
            Scene { media: None, ..scene }
        }
        Need::Claim => Scene { claim: None, ..Scene::reserved() },
        Need::Report => {
            let mut scene = Scene::in_discovery(BootState::Ready);
            scene.report_for("uid-1.1");
            scene.server.spec.boot_configuration_ref = None;
            Scene { configuration: None, interfaces: None, ..scene }
        }
    }
}
