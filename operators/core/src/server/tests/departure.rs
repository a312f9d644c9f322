//! Servers that are being deleted.

use super::{
    super::{Change, Decision, Departure, Need, decide_in_any_case, departure},
    T0,
    fixture::{Scene, minutes, seconds},
};
use crate::{
    failure::Failure,
    redfish::{PowerState, ResetType, Step, Unreachable},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{PendingKind, ServerState, annotation, condition};

#[test]
fn a_server_that_a_claim_holds_is_not_let_go() {
    let scene = deleted(Scene::reserved());
    let Departure::Held(error) = scene.departure() else { panic!() };
    assert_eq!(error.to_string(), "still bound to claim tenant/claim: delete the claim first");
    let mut unseen = deleted(Scene::reserved());
    unseen.claim = None;
    assert_eq!(unseen.departure(), Departure::Look(Need::Claim));
    assert_eq!(deleted(Scene::available()).departure(), Departure::Go);
}

#[test]
fn a_deletion_that_cannot_learn_of_its_claim_says_so() {
    let mut scene = deleted(Scene::reserved());
    scene.claim = None;
    let text = "forbidden".to_owned();
    scene.failure = Some(Failure { reason: "Read", text, repeated: true });
    let Decision::Record(status) = scene.observe(decide_in_any_case) else { panic!() };
    scene.server.status = Some(*status);
    assert_eq!(scene.condition(condition::RECONCILED), ("False", "Read"));
    assert_eq!(scene.observe(decide_in_any_case), Decision::Look(Need::Claim));
}

#[test]
fn a_server_whose_claim_is_gone_goes_once_its_host_is_off_or_cannot_be_asked() {
    let gone = || {
        let mut scene = deleted(Scene::reserved());
        scene.system().power = PowerState::On;
        (scene.claim, scene.claim_is_gone) = (None, true);
        scene
    };
    let mut scene = gone();
    assert_eq!(scene.departure(), Departure::Lives(minutes(4)));
    scene.system().power = PowerState::Off;
    assert_eq!(scene.departure(), Departure::Go);

    let mut silent = gone();
    silent.reading = Some(Err(Unreachable::NoAnswer("timed out".to_owned())));
    assert_eq!(silent.departure(), Departure::Go);
    silent.reading = None;
    assert_eq!(silent.departure(), Departure::Look(Need::System));
    silent.access = Err("spec.bmcRef: BMC".to_owned());
    assert_eq!(silent.departure(), Departure::Go);

    let mut ignored = gone();
    ignored.annotate(annotation::OPERATION, "ignore");
    assert_eq!(ignored.departure(), Departure::Go);
}

#[test]
fn a_host_that_does_not_shut_down_holds_the_deletion_of_its_server_for_a_time_only() {
    let mut scene = deleted(Scene::reserved());
    scene.system().power = PowerState::On;
    (scene.claim, scene.claim_is_gone) = (None, true);
    scene.settle();
    scene.now += minutes(3);
    assert_eq!(scene.departure(), Departure::Lives(minutes(1)));
    scene.now += minutes(1);
    assert_eq!(scene.departure(), Departure::Go);
}

#[test]
fn a_host_that_does_not_shut_down_holds_the_deletion_no_longer_where_no_process_lives_for_long() {
    let mut scene = deleted(Scene::reserved());
    scene.system().power = PowerState::On;
    (scene.claim, scene.claim_is_gone) = (None, true);
    scene.settle();
    for (minute, expected) in [
        (10, Departure::Lives(minutes(4))),
        (60, Departure::Lives(minutes(4))),
        (64, Departure::Go),
    ] {
        scene.now = T0 + minutes(minute);
        scene.started = scene.now;
        assert_eq!(scene.departure(), expected, "{minute} min");
    }
}

#[test]
fn a_host_whose_claim_outlives_the_deletion_of_its_server_gets_its_time_to_shut_down() {
    let mut scene = deleted(Scene::reserved());
    scene.system().power = PowerState::On;
    scene.settle();
    scene.now += minutes(5000);
    scene.refresh();
    (scene.claim, scene.claim_is_gone) = (None, true);
    assert_eq!(scene.departure(), Departure::Lives(minutes(4)));
    let text = "quota".to_owned();
    scene.failure = Some(Failure { reason: "Write", text, repeated: true });
    assert_eq!(scene.departure(), Departure::Go, "it cannot be recorded");
    scene.failure = None;
    scene.settle();
    assert_eq!(scene.pending(), Some(PendingKind::PowerOff));
    scene.server.spec.boot_configuration_ref = None;
    scene.settle();
    let ask = Decision::Act(Step::Reset(ResetType::GracefulShutdown));
    assert_eq!(scene.observe(decide_in_any_case), ask);
    scene.now += minutes(4);
    assert_eq!(scene.departure(), Departure::Go);
}

#[test]
fn a_server_whose_claim_is_gone_is_let_go_where_its_bmc_is_gone_too() {
    let mut scene = Scene::reserved();
    scene.system().power = PowerState::On;
    scene.now += seconds(20);
    scene.refresh();
    scene.settle();
    scene.access = Err("spec.bmcRef: BMC bmc-1: create it".to_owned());
    scene.settle();
    assert_eq!(scene.state(), ServerState::Reserved, "its claim is there");
    scene.claim = None;
    assert_eq!(scene.decide(), Decision::Look(Need::Claim));
    scene.claim_is_gone = true;
    scene.settle();
    assert_eq!(scene.decide(), Decision::Change(Change::DropConfiguration));
    scene.server.spec.boot_configuration_ref = None;
    assert_eq!(scene.decide(), Decision::Change(Change::ReleaseClaim));
    scene.server.spec.server_claim_ref = None;
    scene.settle();
    assert_eq!(scene.state(), ServerState::Available);
    // It was on when last seen, so it cannot be claimed.
    assert_eq!(crate::claim::free(&scene.server), Err(crate::claim::Mismatch::Power));
}

#[test]
fn a_server_that_is_deleted_lives_as_any_other_until_it_may_go() {
    let held = deleted(Scene::reserved());
    let Decision::Record(status) = held.observe(decide_in_any_case) else { panic!() };
    let why = status.conditions.iter().find(|c| c.type_ == condition::RECONCILED).unwrap();
    assert_eq!((why.status.as_str(), why.reason.as_str()), ("False", "Claimed"));
    assert_eq!(status.state, Some(ServerState::Reserved));
    let mut unseen = deleted(Scene::reserved());
    unseen.claim = None;
    assert_eq!(unseen.observe(decide_in_any_case), Decision::Look(Need::Claim));
    let free = deleted(Scene::available());
    assert_eq!(free.observe(decide_in_any_case), Decision::Change(Change::RemoveFinalizer));

    let mut leaving = deleted(Scene::reserved());
    leaving.system().power = PowerState::On;
    (leaving.claim, leaving.claim_is_gone) = (None, true);
    leaving.now += minutes(4) - seconds(1);
    let decision = leaving.observe(decide_in_any_case);
    assert!(!matches!(decision, Decision::Rest(time) if time > seconds(1)), "{decision:?}");
    assert_ne!(decision, Decision::Change(Change::RemoveFinalizer));
}

fn deleted(mut scene: Scene) -> Scene {
    scene.server.metadata.deletion_timestamp = Some(Time(scene.now));
    scene
}

impl Scene {
    fn departure(&self) -> Departure {
        self.observe(departure)
    }
}
