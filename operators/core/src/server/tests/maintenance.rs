//! Servers that another version put into a maintenance, or parked.

use super::{
    super::{Change, Decision},
    fixture::{Scene, seconds},
};
use crate::redfish::{PowerState, Unreachable};
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
        assert_eq!(scene.decide(), Decision::Change(Change::DropOperation));
    }
}

#[test]
fn a_maintenance_that_lasts_is_not_ended_by_an_operation() {
    let mut scene = Scene::available();
    hold(&mut scene, true);
    scene.settle();
    scene.annotate(annotation::OPERATION, "retry");
    assert_eq!(scene.decide(), Decision::Change(Change::DropOperation));
}

#[test]
fn a_parked_server_is_left_alone_also_when_its_status_was_lost() {
    for mut scene in [Scene::new(), Scene::available(), Scene::reserved()] {
        scene.server.status = None;
        scene.annotate(annotation::PARKED, "true");
        scene.system().power = PowerState::On;
        // While its BMC is silent, nothing is known and nothing is done.
        let answer = scene.reading.replace(Err(Unreachable::NoAnswer("timed out".to_owned())));
        scene.settle();
        assert_ne!(scene.state(), ServerState::Reserved);
        scene.reading = answer;
        for _ in 0..5 {
            scene.now += seconds(60);
            scene.refresh();
            scene.settle();
            assert_eq!((scene.state(), scene.pending()), (ServerState::Parked, None));
            assert_eq!(scene.condition(condition::READY), ("False", "LeftAlone"));
            assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
        }
    }
}

#[test]
fn a_person_takes_a_server_back_that_is_not_parked_any_more() {
    let back =
        [(Scene::available(), ServerState::Initial), (Scene::reserved(), ServerState::Reserved)];
    for (mut scene, state) in back {
        scene.annotate(annotation::PARKED, "true");
        scene.settle();
        let retry = (annotation::OPERATION.to_owned(), "retry".to_owned());
        scene.server.metadata.annotations.as_mut().unwrap().extend([retry]);
        assert_eq!(scene.decide(), Decision::Change(Change::DropOperation), "it is parked");
        scene.server.metadata.annotations = None;
        scene.now += seconds(60);
        scene.refresh();
        scene.settle();
        assert!(scene.message(condition::READY).contains("operation=retry"));
        scene.annotate(annotation::OPERATION, "retry");
        scene.record();
        assert_eq!(scene.state(), state);
    }
}

#[test]
fn the_uri_of_a_system_that_was_found_by_its_uuid_is_written_where_nobody_else_writes_it() {
    let mut scene = Scene::available();
    scene.system().uri = "/redfish/v1/Systems/1".to_owned();
    let uri = "/redfish/v1/Systems/1".to_owned();
    assert_eq!(scene.decide(), Decision::Change(Change::SetSystemUri { uri: uri.clone() }));
    scene.server.spec.system_uri = Some(uri);
    assert!(matches!(scene.decide(), Decision::Rest(_)));
    scene.server.spec.system_uri = None;
    scene.server.spec.bmc_ref = Some(metal_api::LocalObjectReference { name: "bmc".to_owned() });
    assert!(matches!(scene.decide(), Decision::Rest(_)), "the BMC does");
}

fn hold(scene: &mut Scene, held: bool) {
    let reference = held.then(|| ObjectReference::new("metal", "update"));
    scene.server.spec.server_maintenance_ref = reference;
    scene.server.status.as_mut().unwrap().state = Some(ServerState::Maintenance);
}
