//! Servers whose boot method lets them boot without us.

use super::{
    super::Decision,
    fixture::{Scene, seconds},
};
use crate::redfish::{BootMode, BootSource, PowerState, ResetType, Step};
use metal_api::{BootState, annotation, condition};

#[test]
fn a_claimed_host_that_boots_itself_is_switched_on_without_an_override() {
    for method in ["disk", "none", "Disk"] {
        let mut scene = Scene::reserved();
        scene.annotate(annotation::BOOT_METHOD, method);
        assert_eq!(scene.decide(), Decision::Act(Step::Reset(ResetType::On)), "{method}");
        scene.carried_out(Step::Reset(ResetType::On));
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

#[test]
fn the_override_is_that_of_the_boot_method_where_the_bmc_and_the_image_have_both() {
    for (method, expected) in [
        ("", BootSource::UefiHttp),
        ("http", BootSource::UefiHttp),
        ("network-always", BootSource::UefiHttp),
        ("ipxe", BootSource::Pxe),
    ] {
        let mut scene = Scene::in_discovery(BootState::Ready);
        scene.annotate(annotation::BOOT_METHOD, method);
        scene.configuration_condition(condition::HTTP_BOOT_READY, "True");
        scene.system().boot.allowable = vec![BootSource::Pxe, BootSource::UefiHttp];
        scene.settle();
        let arm = Step::BootOnce { source: expected, mode: Some(BootMode::Uefi) };
        assert_eq!(scene.decide(), Decision::Act(arm), "{method}");
    }
}

#[test]
fn a_boot_method_that_bmc_or_image_lacks_is_told_and_no_other_takes_its_place() {
    for (method, image, allowable) in [
        ("http", "False", vec![BootSource::Pxe, BootSource::UefiHttp]),
        ("http", "True", vec![BootSource::Pxe]),
        ("ipxe", "True", vec![BootSource::UefiHttp]),
    ] {
        let mut scene = Scene::in_discovery(BootState::Ready);
        scene.annotate(annotation::BOOT_METHOD, method);
        scene.configuration_condition(condition::HTTP_BOOT_READY, image);
        scene.system().boot.allowable = allowable;
        scene.now += seconds(10);
        scene.refresh();
        scene.settle();
        assert_eq!(scene.condition(condition::READY), ("False", "NoBootSource"), "{method}");
        assert!(scene.message(condition::READY).contains(method), "{method}");
        assert!(matches!(scene.decide(), Decision::Rest(_)), "{method}: {:?}", scene.decide());
    }
}
