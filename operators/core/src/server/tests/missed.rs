//! A server whose reference to its claim is gone although the claim exists.

use super::{
    super::{Decision, Need},
    fixture::{Scene, minutes},
};
use crate::{claim::misses, redfish::PowerState};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{ClaimPhase, LocalObjectReference, ServerClaimStatus, ServerState, condition};

/// A server whose host is on for its claim, which is Bound.
fn running() -> Scene {
    let mut scene = Scene::reserved();
    scene.settings.enforce_first_boot = true;
    scene.settings.enforce_power_off = true;
    scene.system().power = PowerState::On;
    scene.settle();
    let claim = scene.claim.as_mut().unwrap();
    claim.spec.server_ref = Some(LocalObjectReference { name: "server-a".to_owned() });
    let phase = Some(ClaimPhase::Bound);
    claim.status = Some(ServerClaimStatus { phase, ..ServerClaimStatus::default() });
    scene
}

#[test]
fn a_server_made_again_under_a_running_claim_keeps_its_power_and_is_taken_over() {
    for power in [PowerState::On, PowerState::Off] {
        let mut scene = running();
        let reference = scene.server.spec.server_claim_ref.take();
        scene.server.status = None;
        scene.server.metadata.creation_timestamp = Some(Time(scene.now));
        scene.system().power = power;
        for _ in 0..5 {
            scene.now += minutes(3);
            scene.refresh();
            scene.settle();
            assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
        }
        assert_eq!((scene.state(), scene.pending()), (ServerState::Initial, None));
        assert_eq!(scene.condition(condition::READY), ("False", "ClaimNotReferred"));
        if power == PowerState::On {
            scene.server.spec.server_claim_ref = reference;
            scene.settle();
            assert_eq!(scene.state(), ServerState::Reserved);
            assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
        }
    }
}

#[test]
fn a_reference_that_somebody_dropped_while_the_claim_lives_is_waited_for() {
    for (state, is_bound) in [
        (ServerState::Reserved, true),
        (ServerState::Reserved, false),
        (ServerState::Available, true),
        (ServerState::Discovery, true),
        (ServerState::Error, true),
    ] {
        let mut scene = running();
        if !is_bound {
            // What was observed here shows it as well.
            scene.claim.as_mut().unwrap().status = None;
        }
        scene.server.spec.server_claim_ref = None;
        scene.server.status.as_mut().unwrap().state = Some(state.clone());
        for _ in 0..5 {
            scene.now += minutes(3);
            scene.refresh();
            scene.settle();
            assert!(matches!(scene.decide(), Decision::Rest(_)), "{state}: {:?}", scene.decide());
        }
        assert_eq!(scene.state(), state);
    }
}

#[test]
fn a_claim_that_goes_or_is_another_ones_misses_nothing() {
    let missed = |edit: fn(&mut Scene)| {
        let mut scene = running();
        scene.server.spec.server_claim_ref = None;
        edit(&mut scene);
        misses(scene.claim.as_ref().unwrap(), &scene.server)
    };
    assert!(missed(|_| ()));
    assert!(!missed(|scene| {
        scene.claim.as_mut().unwrap().metadata.deletion_timestamp = Some(Time(scene.now));
    }));
    assert!(!missed(|scene| {
        let name = "server-b".to_owned();
        scene.claim.as_mut().unwrap().spec.server_ref = Some(LocalObjectReference { name });
    }));
    assert!(!missed(|scene| {
        let claim = scene.claim.as_mut().unwrap();
        (claim.status, claim.metadata.uid) = (None, Some("made again".to_owned()));
    }));
    assert!(!missed(|scene| {
        scene.server.spec.server_claim_ref = Some(metal_api::ClaimReference::default());
    }));
    let mut scene = running();
    scene.server.spec.server_claim_ref = None;
    scene.server.spec.boot_configuration_ref = None;
    scene.claim = None;
    scene.settle();
    assert_eq!(scene.state(), ServerState::Available);
    scene.now += minutes(3);
    assert_eq!(scene.decide(), Decision::Look(Need::System), "it is to be off");
}
