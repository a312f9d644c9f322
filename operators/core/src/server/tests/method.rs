//! Servers whose boot method lets them boot without us.

use super::{
    super::Decision,
    fixture::{Scene, seconds},
};
use crate::redfish::{PowerState, ResetType, Step};
use metal_api::{BootState, annotation, condition};

#[test]
fn a_claimed_host_that_boots_itself_is_switched_on_without_an_override() {
    for method in ["disk", "none", "Disk"] {
        let mut scene = Scene::reserved();
        scene.annotate(annotation::BOOT_METHOD, method);
        assert_eq!(scene.decide(), Decision::Act(Step::Reset(ResetType::On)), "{method}");
        scene.acted(Step::Reset(ResetType::On));
        scene.system().power = PowerState::On;
        scene.settle();
        assert!(matches!(scene.decide(), Decision::Rest(_)), "{method}");
    }
}

#[test]
fn a_host_that_boots_itself_is_not_discovered_and_says_what_to_do() {
    let mut scene = Scene::in_discovery(BootState::Ready);
    scene.annotate(annotation::BOOT_METHOD, "disk");
    scene.now += seconds(10);
    scene.refresh();
    scene.settle();
    assert_eq!(scene.condition(condition::READY), ("False", "NoBootSource"));
    assert!(matches!(scene.decide(), Decision::Rest(_)));
}
