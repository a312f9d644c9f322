//! From one claim to the next: in between, the host is off and known to be.

use super::{
    super::{Change, Decision, Need},
    T0,
    fixture::{Scene, minutes, seconds},
};
use crate::redfish::{PowerState, ResetType, Step, Unreachable};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{
    BootState, ClaimPhase, Operation, PendingKind, Power, ReclaimPolicy, ServerClaimStatus,
    ServerState, annotation, condition,
};

const ON: Step = Step::Reset(ResetType::On);
const ASK: Step = Step::Reset(ResetType::GracefulShutdown);

/// A claim whose host was told to power on, and that is gone before the BMC shows it.
fn left_while_starting() -> Scene {
    let mut scene = Scene::reserved();
    scene.carried_out(ON);
    (scene.claim, scene.claim_is_gone) = (None, true);
    scene.server.spec.boot_configuration_ref = None;
    scene.now += seconds(1);
    scene.refresh();
    scene.settle();
    scene
}

#[test]
fn a_host_that_was_just_told_to_start_is_not_given_on_as_off() {
    for restarts in [false, true] {
        for policy in [ReclaimPolicy::Recycle, ReclaimPolicy::Retain] {
            let mut scene = left_while_starting();
            scene.server.spec.reclaim_policy = Some(policy);
            let mut begun = T0;
            if restarts {
                begun = scene.now;
                (scene.last_step, scene.recorded, scene.started) = (None, None, begun);
                scene.was_off = false;
            }
            for second in 2..59 {
                scene.now = T0 + seconds(second);
                scene.refresh();
                scene.settle();
                let decision = scene.decide();
                assert!(matches!(decision, Decision::Rest(_)), "{decision:?} after {second} s");
                assert_eq!(scene.state(), ServerState::Reserved, "after {second} s");
            }
            let mut comes_up = left_while_starting();
            comes_up.now += seconds(30);
            comes_up.system().power = PowerState::On;
            comes_up.refresh();
            comes_up.settle();
            assert_eq!(comes_up.decide(), Decision::Act(ASK));
            scene.now = begun + minutes(1);
            assert_eq!(scene.decide(), Decision::Look(Need::System));
            scene.refresh();
            if scene.server.spec.reclaim_policy == Some(ReclaimPolicy::Retain) {
                scene.record();
                assert_eq!(scene.state(), ServerState::Released);
            } else {
                assert_eq!(scene.decide(), Decision::Change(Change::ReleaseClaim));
            }
        }
    }
}

#[test]
fn a_reference_that_a_person_clears_gives_no_host_on_that_is_starting() {
    for state in [ServerState::Reserved, ServerState::Released] {
        let mut scene = Scene::reserved();
        scene.carried_out(ON);
        scene.server.status.as_mut().unwrap().state = Some(state.clone());
        scene.server.spec.server_claim_ref = None;
        scene.server.spec.boot_configuration_ref = None;
        scene.now += seconds(30);
        scene.refresh();
        scene.settle();
        assert_eq!(scene.state(), state, "it may come up yet");
        scene.now = T0 + minutes(1);
        scene.refresh();
        scene.settle();
        assert_eq!(scene.state(), ServerState::Available);
    }
}

#[test]
fn a_host_is_given_on_on_a_fresh_reading_only() {
    let mut scene = Scene::reserved();
    (scene.claim, scene.claim_is_gone) = (None, true);
    scene.server.spec.boot_configuration_ref = None;
    scene.server.status.as_mut().unwrap().pending = None;
    scene.now += seconds(30);
    assert_eq!(scene.decide(), Decision::Look(Need::System));
    scene.refresh();
    scene.settle();
    assert_eq!(scene.decide(), Decision::Change(Change::ReleaseClaim));
}

/// A free server that was claimed a moment ago.
fn claimed(power: PowerState) -> Scene {
    let with_claim = Scene::reserved();
    let mut scene = Scene::available();
    scene.server.spec.server_claim_ref.clone_from(&with_claim.server.spec.server_claim_ref);
    scene.claim = with_claim.claim;
    scene.system().power = power;
    scene
}

#[test]
fn a_claim_that_finds_its_new_host_running_has_it_switched_off_before_it_boots() {
    for wanted in [Power::On, Power::Off] {
        let mut scene = claimed(PowerState::On);
        scene.claim.as_mut().unwrap().spec.power = wanted;
        for _ in 0..3 {
            scene.now += seconds(3);
            scene.refresh();
            scene.settle();
            assert_ne!(scene.state(), ServerState::Reserved);
            assert_eq!(scene.condition(condition::READY), ("False", "WaitingForPowerOff"));
            assert_eq!(scene.decide(), Decision::Act(ASK));
        }
        scene.carried_out(ASK);
        scene.system().power = PowerState::Off;
        scene.now += seconds(3);
        scene.refresh();
        scene.settle();
        assert_eq!(scene.state(), ServerState::Reserved);
    }
}

#[test]
fn a_claim_that_goes_before_it_has_its_new_host_gives_the_server_back() {
    for power in [PowerState::Off, PowerState::On] {
        let mut scene = claimed(power);
        if power == PowerState::On {
            // It is waiting for the host to be off.
            scene.now += seconds(3);
            scene.refresh();
            scene.settle();
        }
        scene.claim = None;
        assert_eq!(scene.decide(), Decision::Look(Need::Claim), "{power}");
        scene.claim_is_gone = true;
        scene.settle();
        assert_eq!(scene.decide(), Decision::Change(Change::ReleaseClaim), "{power}");
        scene.server.spec.server_claim_ref = None;
        scene.settle();
        assert_eq!(scene.state(), ServerState::Available, "{power}");
    }
}

#[test]
fn a_claim_that_may_have_had_its_host_is_waited_for() {
    let edits: [fn(&mut Scene); 2] = [
        // A backup of the server was restored, but not yet that of its claim.
        |scene| scene.server.metadata.creation_timestamp = Some(Time(scene.now)),
        // The reference was written by hand, before its claim.
        |scene| scene.server.spec.server_claim_ref.as_mut().unwrap().uid = None,
    ];
    for edit in edits {
        let mut scene = claimed(PowerState::Off);
        edit(&mut scene);
        (scene.claim, scene.claim_is_gone) = (None, true);
        scene.settle();
        assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
        assert_eq!(scene.condition(condition::READY), ("False", "ClaimMissing"));
    }
}

#[test]
fn a_new_host_is_not_believed_off_on_an_old_reading() {
    let mut scene = claimed(PowerState::Off);
    scene.now += minutes(1);
    assert_eq!(scene.decide(), Decision::Look(Need::System));
    scene.refresh();
    scene.settle();
    assert_eq!(scene.state(), ServerState::Reserved);
}

#[test]
fn what_ran_before_its_claim_was_seen_is_not_reserved_while_its_bmc_is_silent() {
    let mut scene = claimed(PowerState::On);
    let answer = scene.reading.replace(Err(Unreachable::NoAnswer("timed out".to_owned())));
    scene.settle();
    assert_eq!(scene.state(), ServerState::Available);
    scene.reading = answer;
    scene.settle();
    assert_eq!(scene.decide(), Decision::Act(ASK));
}

#[test]
fn a_host_that_comes_up_by_itself_before_its_claim_has_booted_it_is_switched_off() {
    let mut scene = claimed(PowerState::Off);
    scene.now += seconds(3);
    scene.refresh();
    scene.settle();
    scene.store();
    assert_eq!(scene.state(), ServerState::Reserved);
    // Its image is not ready, and somebody presses the power button.
    scene.now += minutes(10);
    scene.system().power = PowerState::On;
    scene.refresh();
    scene.settle();
    assert_eq!(scene.condition(condition::READY), ("False", "WaitingForPowerOff"));
    assert_eq!(scene.decide(), Decision::Act(ASK));
    scene.carried_out(ASK);
    scene.now += seconds(20);
    scene.refresh();
    scene.settle();
    assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
    // From its own boot on, a running host is the claim's.
    scene.system().power = PowerState::Off;
    scene.claim_configuration(BootState::Ready);
    scene.now += minutes(1);
    scene.refresh();
    scene.settle();
    assert!(matches!(scene.decide(), Decision::Act(Step::BootOnce { .. })));
    scene.carried_out(ON);
    scene.system().power = PowerState::On;
    for _ in 0..5 {
        scene.now += minutes(1);
        scene.refresh();
        scene.settle();
        assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
    }
}

#[test]
fn a_host_that_a_process_finds_running_and_has_never_seen_off_is_left_to_a_person() {
    for is_the_claims in [true, false] {
        let mut scene = claimed(PowerState::Off);
        scene.settings.enforce_power_off = true;
        scene.now += seconds(3);
        scene.refresh();
        scene.settle();
        scene.store();
        assert_eq!(scene.pending(), Some(PendingKind::PowerOff), "it is off, and stays off");
        // A snapshot of that is restored days after its claim has booted it.
        scene.now += minutes(5000);
        (scene.started, scene.was_off) = (scene.now, false);
        (scene.last_step, scene.recorded) = (None, None);
        scene.system().power = PowerState::On;
        for _ in 0..5 {
            scene.now += minutes(3);
            scene.refresh();
            scene.settle();
            assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
            assert_eq!(scene.condition(condition::READY), ("False", "HostRunning"));
        }
        if is_the_claims {
            scene.annotate(annotation::OPERATION, &Operation::Retry.to_string());
            scene.settle();
            assert_eq!(scene.decide(), Decision::Change(Change::DropOperation));
            scene.server.metadata.annotations = None;
            scene.settle();
            assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
            assert_eq!(scene.condition(condition::READY), ("True", "Reserved"));
        } else {
            scene.system().power = PowerState::Off;
            scene.claim_configuration(BootState::Ready);
            scene.now += minutes(1);
            scene.refresh();
            scene.settle();
            assert!(matches!(scene.decide(), Decision::Act(Step::BootOnce { .. })));
            // From now on it is known to have been off.
            scene.system().power = PowerState::On;
            scene.server.status.as_mut().unwrap().pending = None;
            scene.settle();
            assert_eq!(scene.condition(condition::READY), ("True", "Reserved"));
        }
    }
}

#[test]
fn a_claim_that_wants_its_running_host_off_and_then_not_keeps_it() {
    for lost in [false, true] {
        let mut scene = Scene::reserved();
        scene.system().power = PowerState::On;
        scene.settle();
        if lost {
            scene.server.status = None;
        }
        for (wanted, switches) in [(Power::Off, true), (Power::On, false)] {
            scene.claim.as_mut().unwrap().spec.power = wanted;
            scene.now += minutes(2);
            scene.refresh();
            scene.settle();
            assert_eq!(scene.decide() == Decision::Act(ASK), switches, "lost {lost}");
        }
    }
}

/// What happened, and the change to the scene.
type Case = (&'static str, fn(&mut Scene));

#[test]
fn the_running_host_of_a_claim_is_never_taken_for_that_of_nobody() {
    let cases: [Case; 5] = [
        ("status lost", |scene| scene.server.status = None),
        ("seen here before", |scene| {
            scene.server.status.as_mut().unwrap().state = Some(ServerState::Available);
        }),
        ("in another state", |scene| {
            let status = scene.server.status.as_mut().unwrap();
            status.conditions.retain(|it| it.type_ != condition::CLAIM_BOUND);
            status.state = Some(ServerState::Discovery);
        }),
        ("claim that was Bound before", |scene| {
            let status = scene.server.status.as_mut().unwrap();
            status.conditions.retain(|it| it.type_ != condition::CLAIM_BOUND);
            status.state = Some(ServerState::Available);
            let phase = Some(ClaimPhase::Bound);
            let status = ServerClaimStatus { phase, ..ServerClaimStatus::default() };
            scene.claim.as_mut().unwrap().status = Some(status);
        }),
        ("restart", |scene| {
            (scene.last_step, scene.recorded, scene.started) = (None, None, scene.now);
            scene.was_off = false;
            scene.server.metadata.creation_timestamp = Some(Time(scene.now));
        }),
    ];
    for (what, edit) in cases {
        let mut scene = Scene::reserved();
        scene.settings.enforce_power_off = true;
        scene.system().power = PowerState::On;
        scene.settle();
        edit(&mut scene);
        for _ in 0..5 {
            scene.now += minutes(3);
            scene.refresh();
            scene.settle();
            let decision = scene.decide();
            assert!(matches!(decision, Decision::Rest(_)), "{what}: {decision:?}");
        }
        assert_eq!(scene.state(), ServerState::Reserved, "{what}");
    }
}
