//! Servers that another version took into a maintenance.

use super::{
    super::{Change, Decision},
    fixture::{Scene, seconds},
};
use crate::redfish::PowerState;
use metal_api::{ObjectReference, ServerState, annotation, condition};

#[test]
fn a_server_in_maintenance_is_left_alone_even_when_its_maintenance_is_gone() {
    for mut scene in [Scene::available(), Scene::reserved()] {
        for held in [true, false] {
            hold(&mut scene, held);
            scene.now += seconds(10);
            scene.refresh();
            scene.settle();
            assert_eq!(scene.state(), ServerState::Maintenance);
            assert_eq!(scene.condition(condition::READY), ("False", "LeftAlone"));
            assert!(matches!(scene.decide(), Decision::Rest(_)));
        }
    }
}

#[test]
fn a_person_takes_a_server_back_whose_maintenance_is_gone() {
    let back =
        [(Scene::available(), ServerState::Initial), (Scene::reserved(), ServerState::Reserved)];
    for (mut scene, state) in back {
        hold(&mut scene, false);
        scene.system().power = PowerState::On;
        scene.settle();
        scene.annotate(annotation::OPERATION, "retry");
        scene.record();
        assert_eq!(scene.state(), state);
        assert_eq!(scene.decide(), Decision::Configure(Change::DropOperation));
    }
}

#[test]
fn a_maintenance_that_lasts_is_not_ended_by_an_operation() {
    let mut scene = Scene::available();
    hold(&mut scene, true);
    scene.settle();
    scene.annotate(annotation::OPERATION, "retry");
    assert_eq!(scene.decide(), Decision::Configure(Change::DropOperation));
}

fn hold(scene: &mut Scene, held: bool) {
    let reference = held.then(|| ObjectReference::new("metal", "update"));
    scene.server.spec.server_maintenance_ref = reference;
    scene.server.status.as_mut().unwrap().state = Some(ServerState::Maintenance);
}
