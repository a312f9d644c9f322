//! Objects from a backup, and different claims of the same name.

use super::{
    super::{Change, Decision, Need},
    T0,
    fixture::{Scene, minutes, seconds},
};
use crate::{
    claim::{Binding, binding},
    redfish::{PowerState, ResetType, Step, Unreachable},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{LocalObjectReference, PendingKind, ServerState, condition};

#[test]
fn a_claimed_server_without_status_is_reserved_though_its_bmc_is_silent() {
    for why in [
        Unreachable::NoAnswer("timed out".to_owned()),
        Unreachable::Unauthorized,
        Unreachable::SessionsFull("HTTP 503".to_owned()),
        Unreachable::Misbehaving("too long".to_owned()),
    ] {
        let mut scene = Scene::reserved();
        scene.server.status = None;
        scene.reading = Some(Err(why));
        scene.record();
        assert_eq!(scene.state(), ServerState::Reserved);
        assert_eq!(scene.condition(condition::CLAIM_BOUND), ("True", "Bound"));
        assert!(matches!(scene.decide(), Decision::Rest(_)));
    }
    let mut scene = Scene::reserved();
    scene.server.status = None;
    scene.access = Err("spec.bmcRef: BMC bmc-1 not found: create it".to_owned());
    scene.record();
    assert_eq!((scene.state(), scene.pending()), (ServerState::Reserved, None));
    // A server without a claim, or whose claim does not exist, stays what it is.
    scene.server.status = None;
    scene.claim = None;
    scene.record();
    assert_eq!(scene.state(), ServerState::Initial);
}

#[test]
fn a_restored_server_whose_claim_has_another_uid_now_keeps_its_power_and_takes_it_over() {
    for status_is_lost in [false, true] {
        let mut scene = restored();
        if status_is_lost {
            scene.server.status = None;
        }
        let claim = scene.claim.as_mut().unwrap();
        claim.metadata.uid = Some("new-uid".to_owned());
        claim.spec.server_ref = Some(LocalObjectReference { name: "server-a".to_owned() });
        assert_eq!(binding(&scene.server, scene.claim.as_ref().unwrap()), Binding::Restored);
        scene.settle();
        assert_eq!(scene.state(), ServerState::Reserved);
        // The record must not make it another claim before the reference is written.
        assert_eq!(binding(&scene.server, scene.claim.as_ref().unwrap()), Binding::Restored);
        let uid = "new-uid".to_owned();
        assert_eq!(scene.decide(), Decision::Change(Change::AdoptClaim { uid: uid.clone() }));
        scene.server.spec.server_claim_ref.as_mut().unwrap().uid = Some(uid);
        scene.now += minutes(3);
        scene.refresh();
        scene.settle();
        assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());

        // From here on it is like any other: released when its claim is deleted.
        (scene.claim, scene.claim_is_gone) = (None, true);
        scene.settle();
        assert_eq!(scene.pending(), Some(PendingKind::PowerOff));
    }
}

#[test]
fn a_restored_server_whose_claim_is_not_there_yet_waits_for_it() {
    let mut scene = restored();
    scene.claim = None;
    assert_eq!(scene.decide(), Decision::Look(Need::Claim));
    scene.claim_is_gone = true;
    for _ in 0..10 {
        scene.now += minutes(10);
        scene.refresh();
        scene.settle();
        assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
    }
    assert_eq!(scene.pending(), None);
    assert_eq!(scene.condition(condition::READY), ("False", "ClaimMissing"));
}

#[test]
fn a_claim_that_was_deleted_and_made_again_does_not_inherit_the_machine() {
    // Nor if a client has dropped the UID from the reference, the status, or both.
    for (reference_is_lost, field_is_lost) in
        [(false, false), (true, false), (false, true), (true, true)]
    {
        let what = format!("reference lost: {reference_is_lost}, field lost: {field_is_lost}");
        let mut scene = Scene::reserved();
        scene.server.metadata.creation_timestamp = Some(Time(T0 - minutes(60)));
        scene.settle();
        let claim = scene.claim.as_mut().unwrap();
        claim.metadata.creation_timestamp = Some(Time(T0 - minutes(1)));
        claim.spec.server_ref = Some(LocalObjectReference { name: "server-a".to_owned() });
        let mut again = claim.clone();
        again.metadata.uid = Some("new-uid".to_owned());
        again.metadata.creation_timestamp = Some(Time(T0 + minutes(10)));
        if reference_is_lost {
            scene.server.spec.server_claim_ref.as_mut().unwrap().uid = None;
        }
        if field_is_lost {
            scene.server.status.as_mut().unwrap().bound_claim = None;
        }
        assert_eq!(binding(&scene.server, &again), Binding::Other, "{what}");
        assert_eq!(binding(&scene.server, scene.claim.as_ref().unwrap()), Binding::Same, "{what}");
        // The next pass recognizes it again.
        scene.settle();
        let bound = scene.server.status.unwrap().bound_claim.unwrap();
        assert_eq!(bound.uid, "claim-uid", "{what}");
    }
}

#[test]
fn a_restored_claim_that_is_half_taken_over_stays_though_a_client_drops_who_it_is() {
    let mut scene = restored();
    let claim = scene.claim.as_mut().unwrap();
    claim.metadata.uid = Some("new-uid".to_owned());
    claim.metadata.creation_timestamp = scene.server.metadata.creation_timestamp.clone();
    claim.spec.server_ref = Some(LocalObjectReference { name: "server-a".to_owned() });
    scene.settle();
    scene.server.status.as_mut().unwrap().bound_claim = None;
    assert_eq!(binding(&scene.server, scene.claim.as_ref().unwrap()), Binding::Restored);
}

#[test]
fn a_reference_without_uid_is_the_claims_that_names_the_server_or_none() {
    let mut scene = Scene::reserved();
    scene.server.status = None;
    scene.server.spec.server_claim_ref.as_mut().unwrap().uid = None;
    let mut claim = scene.claim.clone().unwrap();
    for (named, expected) in
        [(None, Binding::Same), (Some("server-a"), Binding::Same), (Some("b"), Binding::Other)]
    {
        claim.spec.server_ref = named.map(|name| LocalObjectReference { name: name.to_owned() });
        assert_eq!(binding(&scene.server, &claim), expected, "{named:?}");
    }
}

#[test]
fn a_released_server_whose_claim_is_back_serves_it_again() {
    let mut scene = Scene::reserved();
    scene.settings.enforce_power_off = true;
    scene.server.status.as_mut().unwrap().state = Some(ServerState::Released);
    scene.system().power = PowerState::On;
    for _ in 0..10 {
        scene.now += minutes(1);
        scene.refresh();
        scene.settle();
        let decision = scene.decide();
        assert!(!matches!(decision, Decision::Act(Step::Reset(_))), "{decision:?}");
        assert_eq!(scene.state(), ServerState::Reserved);
        assert_eq!(scene.condition(condition::READY), ("True", "Reserved"));
    }
    let off = Decision::Act(Step::Reset(ResetType::GracefulShutdown));
    (scene.claim, scene.claim_is_gone) = (None, true);
    scene.settle();
    assert_eq!(scene.decide(), Decision::Change(Change::DropConfiguration));
    scene.server.spec.boot_configuration_ref = None;
    scene.settle();
    assert_eq!(scene.decide(), off);
}

/// A server whose host is on for its claim, created after its status was recorded.
fn restored() -> Scene {
    let mut scene = Scene::reserved();
    scene.system().power = PowerState::On;
    scene.settle();
    scene.now = T0 + minutes(100);
    scene.server.metadata.creation_timestamp = Some(Time(scene.now - seconds(5)));
    scene.started = scene.now - seconds(1);
    scene.refresh();
    scene
}
