//! How soon observations are recorded.

use super::{
    super::Decision,
    T0,
    fixture::{Scene, seconds},
};
use crate::redfish::PowerState;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use metal_api::{BootState, ServerState};

#[test]
fn conditions_name_the_generation_they_are_about_and_that_alone_is_no_reason_to_write() {
    let mut scene = Scene::new();
    scene.server.metadata.generation = Some(3);
    scene.record();
    let status = scene.server.status.clone().unwrap();
    assert_eq!(status.observed_generation, Some(3));
    assert!(status.conditions.iter().all(|c| c.observed_generation == Some(3)), "{status:?}");
    scene.prepare(BootState::Ready);
    scene.server.metadata.generation = Some(4);
    scene.system().power = PowerState::On;
    scene.now = T0 + seconds(20);
    scene.refresh();
    assert!(matches!(scene.decide(), Decision::Rest(_)), "{:?}", scene.decide());
    scene.now = T0 + seconds(30);
    scene.refresh();
    scene.record();
    assert_eq!(scene.state(), ServerState::Discovery);
    assert_eq!(scene.server.status.unwrap().observed_generation, Some(4));
}

#[test]
fn power_of_a_host_in_discovery_is_recorded_later_than_a_condition() {
    let recorded = |scene: &Scene| matches!(scene.decide(), Decision::Record(_));
    let mut scene = Scene::in_discovery(BootState::Ready);
    scene.system().power = PowerState::On;
    for (after, told) in [(10, false), (29, false), (30, true)] {
        scene.now = T0 + seconds(after);
        scene.refresh();
        assert_eq!(recorded(&scene), told, "power after {after} s");
    }
    scene.configure(BootState::Error);
    for (after, told) in [(9, false), (10, true)] {
        scene.now = T0 + seconds(after);
        scene.refresh();
        assert_eq!(recorded(&scene), told, "error after {after} s");
    }
}

#[test]
fn the_last_reset_is_what_the_bmc_says_and_its_jitter_is_no_reason_to_write() {
    let mut scene = Scene::new();
    scene.system().last_reset = Some(T0 - seconds(100));
    scene.record();
    let recorded = |scene: &Scene| scene.server.status.as_ref()?.last_reset_time.clone();
    assert_eq!(recorded(&scene).unwrap().0, T0 - seconds(100));
    scene.prepare(BootState::Ready);
    scene.system().power = PowerState::On;
    scene.now = T0 + seconds(60);
    scene.refresh();
    scene.settle();
    for (reset, expected) in [(-60, -100), (-150, -100), (20, 20)] {
        scene.system().last_reset = Some(T0 + seconds(reset));
        scene.now += seconds(60);
        scene.refresh();
        scene.settle();
        assert_eq!(recorded(&scene).unwrap().0, T0 + seconds(expected), "{reset}");
    }
}

#[test]
fn conditions_that_only_ironcore_keeps_up_go() {
    let mut scene = Scene::available();
    let conditions = &mut scene.server.status.as_mut().unwrap().conditions;
    let own = conditions.clone();
    let left = ["PoweringOn", "WaitingForPowerOff", "example.com/Mine"]
        .map(|type_| Condition { type_: type_.to_owned(), ..own[0].clone() });
    conditions.extend(left.clone());
    scene.now += seconds(60);
    scene.refresh();
    scene.settle();
    let now = &scene.server.status.as_ref().unwrap().conditions;
    assert_eq!(*now, [own, vec![left[2].clone()]].concat());
}
