//! Servers that ironcore's operator has managed before go on as they are.

use super::{
    super::{Change, Decision},
    fixture::{Scene, minutes},
};
use crate::redfish::PowerState;
use metal_api::{BootState, ServerState, ServerStatus, annotation, condition};
use serde_json::{Value, json};

#[test]
fn an_available_server_of_ironcore_stays_available() {
    let mut scene = Scene::new();
    left(&mut scene, "Available", PowerState::Off);
    go_on(&mut scene);
    assert_eq!(scene.state(), ServerState::Available);
    assert_eq!(scene.condition(condition::READY).0, "True");
}

#[test]
fn a_running_host_of_a_claim_of_ironcore_is_left_on() {
    let mut scene = Scene::reserved();
    let claim = scene.claim.as_mut().unwrap();
    claim.status = serde_json::from_value(json!({ "phase": "Bound" })).unwrap();
    // ironcore knows no UID.
    scene.server.spec.server_claim_ref.as_mut().unwrap().uid = None;
    claim.spec.server_ref = serde_json::from_value(json!({ "name": "server-a" })).unwrap();
    left(&mut scene, "Reserved", PowerState::On);
    go_on(&mut scene);
    assert_eq!(scene.state(), ServerState::Reserved);
    assert_eq!(scene.condition(condition::READY).0, "True");
}

#[test]
fn a_host_that_runs_the_probe_of_ironcore_is_waited_for() {
    let mut scene = Scene::new();
    left(&mut scene, "Discovery", PowerState::On);
    go_on(&mut scene);
    assert_eq!(scene.condition(condition::READY), ("False", "HostRunning"));
}

#[test]
fn a_server_that_ironcore_has_parked_or_maintains_is_left_alone() {
    for (state, parked) in [("Parked", true), ("Maintenance", false)] {
        let mut scene = Scene::new();
        if parked {
            scene.annotate(annotation::PARKED, annotation::TRUE);
        } else {
            let maintenance = json!({ "namespace": "default", "name": "update" });
            scene.server.spec.server_maintenance_ref = serde_json::from_value(maintenance).unwrap();
        }
        left(&mut scene, state, PowerState::On);
        go_on(&mut scene);
        assert_eq!(scene.state().as_str(), state);
        assert_eq!(scene.condition(condition::READY), ("False", "LeftAlone"));
    }
}

/// The status that ironcore's operator has written, with nothing of ours.
fn left(scene: &mut Scene, state: &str, power: PowerState) {
    let condition = |type_: &str| {
        json!({
            "type": type_, "status": "True", "reason": "PowerOn", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    let status: Value = json!({
        "state": state,
        "powerState": power.to_string(),
        "conditions": [condition("PoweringOn"), condition("WaitingForPowerOff")],
    });
    scene.server.status = Some(serde_json::from_value::<ServerStatus>(status).unwrap());
    scene.system().power = power;
    scene.refresh();
}

/// Some hours pass. Nothing is done to the machine.
fn go_on(scene: &mut Scene) {
    for _ in 0..40 {
        match scene.decide() {
            Decision::Record(status) => scene.server.status = Some(*status),
            Decision::Change(Change::DropConfiguration) => {
                scene.server.spec.boot_configuration_ref = None;
            }
            Decision::Change(Change::PrepareDiscovery { .. }) => scene.prepare(BootState::Ready),
            Decision::Rest(_) => {
                scene.now += minutes(10);
                scene.refresh();
            }
            other @ (Decision::Look(_) | Decision::Change(_) | Decision::Act(_)) => {
                panic!("{other:?}")
            }
        }
    }
    let conditions = &scene.server.status.as_ref().unwrap().conditions;
    let theirs = conditions.iter().find(|it| it.reason == "PowerOn");
    assert_eq!(theirs, None);
}
