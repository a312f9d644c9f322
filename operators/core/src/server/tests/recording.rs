//! How soon what is seen is recorded.

use super::{
    super::Decision,
    T0,
    fixture::{Scene, seconds},
};
use crate::redfish::PowerState;
use metal_api::BootState;

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
