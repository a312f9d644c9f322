//! What ends an installation whose installer did not say that it is done.

use super::{
    super::*,
    fixture::{Scene, node},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{
    MachineOperationStep::*,
    condition,
    installation::{InstallPhase, InstallProgress},
};

/// A machine that is being installed, with its BMC or by hand.
fn installs(has_bmc: bool) -> Scene {
    let mut scene = Scene::asks(1, 1).at(Installing);
    if !has_bmc {
        scene.machine.spec.pxe.as_mut().unwrap().redfish = None;
    }
    scene.settle();
    scene
}

fn says(scene: &mut Scene, phase: &str) {
    let progress = serde_json::from_value(serde_json::json!({ "phase": phase })).unwrap();
    *scene.status() = reported(&scene.machine, 1, &progress, scene.now.into()).unwrap();
    scene.settle();
    scene.now += SignedDuration::from_secs(10);
}

fn made(at: Timestamp) -> k8s_openapi::api::core::v1::Node {
    let mut node = node("10.0.0.1");
    node.metadata.creation_timestamp = Some(Time(at));
    node
}

fn is_done(scene: &mut Scene) -> bool {
    scene.settle();
    scene.machine.status.clone().unwrap().operations.unwrap().repave_counter == Some(1)
}

#[test]
fn a_node_counts_only_if_it_was_made_after_the_disk_was_written_to() {
    for has_bmc in [true, false] {
        // The installer looks at the disks, and somebody resets the host: the old system joins anew.
        let mut scene = installs(has_bmc);
        says(&mut scene, "downloading");
        scene.node = Some(made(scene.now));
        scene.now += SignedDuration::from_secs(10);
        assert!(!is_done(&mut scene), "{has_bmc}");
        // It is still there when the installer has its turn, and is no proof then.
        says(&mut scene, "writing");
        assert!(!is_done(&mut scene), "{has_bmc}");
        says(&mut scene, "configuring");
        scene.node = Some(made(scene.now));
        assert!(is_done(&mut scene), "{has_bmc}");
        assert_eq!(scene.reason(condition::REPAVED), Some("Succeeded"));
    }
}

#[test]
fn a_node_does_not_count_while_its_installer_has_failed() {
    for has_bmc in [true, false] {
        let mut scene = installs(has_bmc);
        says(&mut scene, "writing");
        says(&mut scene, "failed");
        scene.node = Some(made(scene.now));
        assert!(!is_done(&mut scene), "{has_bmc}");
        says(&mut scene, "verifying");
        assert!(is_done(&mut scene), "{has_bmc}");
    }
}

#[test]
fn what_fetches_files_and_says_nothing_proves_nothing() {
    for has_bmc in [true, false] {
        let mut scene = installs(has_bmc);
        let (phase, message) = (InstallPhase::Started, String::new());
        let progress = InstallProgress { phase, written: 0, total: None, message };
        assert!(!is_heard(&scene.machine), "{has_bmc}");
        *scene.status() = reported(&scene.machine, 1, &progress, scene.now.into()).unwrap();
        assert!(is_heard(&scene.machine), "{has_bmc}");
        scene.node = Some(made(scene.now + SignedDuration::from_secs(10)));
        assert!(!is_done(&mut scene), "{has_bmc}");
        says(&mut scene, "downloading");
    }
}

#[test]
fn an_installation_that_loses_its_bmc_was_not_heard_by_hand() {
    let mut scene = installs(true);
    assert_eq!(scene.reason(condition::REPAVED), None);
    says(&mut scene, "writing");
    assert_eq!(scene.reason(condition::REPAVED), Some("Pending"));
    scene.machine.spec.pxe.as_mut().unwrap().redfish = None;
    scene.node = Some(made(scene.now));
    assert!(!is_done(&mut scene), "the old system runs");
    assert_eq!(scene.reason(condition::REPAVED), None);
    // Another one is asked for: what the installer of the one before has said is over.
    scene.node = None;
    says(&mut scene, "writing");
    scene.machine.spec.operations.as_mut().unwrap().repave_counter = Some(2);
    scene.settle();
    scene.node = Some(made(scene.now));
    scene.settle();
    assert_eq!(pending(&scene.machine).repave, Some(2));
}

#[test]
fn by_hand_nobody_speaks_for_an_installer_while_the_node_is_ready() {
    let mut ready = node("10.0.0.1");
    let gone = |node: &mut k8s_openapi::api::core::v1::Node| {
        let status = node.status.as_mut().unwrap();
        status.conditions.as_mut().unwrap()[0].status = "Unknown".to_owned();
    };
    let mut scene = installs(false);
    let may = |scene: &Scene, node: &_| {
        (may_report(&scene.machine, Some(node)), may_end(&scene.machine, Some(node)))
    };
    assert_eq!(may(&scene, &ready), (false, false), "its pods have its address");
    assert_eq!(may(&scene, &node("10.0.0.7")), (true, true), "the Node is another's");
    assert!(may_report(&scene.machine, None) && may_end(&scene.machine, None));
    says(&mut scene, "downloading");
    assert_eq!(may(&scene, &ready), (false, false));
    says(&mut scene, "writing");
    assert_eq!(may(&scene, &ready), (false, true), "the new system may be up");
    gone(&mut ready);
    assert_eq!(may(&installs(false), &ready), (true, true));
    // With a BMC the host was off.
    assert_eq!(may(&installs(true), &node("10.0.0.1")), (true, true));
}
