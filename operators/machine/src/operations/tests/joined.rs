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
fn a_machine_that_boots_its_disk_again_in_place_of_the_installer_is_told_so() {
    for (is_set, told) in [(true, "network first"), (false, "(BootOrderConfigSupported)")] {
        let mut scene = installs(true);
        let fact = metal_core::conditions::Fact {
            type_: condition::BOOT_ORDER_CONFIG_SUPPORTED,
            holds: is_set,
            reason: "NotSupported",
            message: "",
        };
        let now = scene.now;
        metal_core::conditions::set(&mut scene.status().conditions, fact, None, now);
        scene.node = Some(node("10.0.0.1"));
        scene.done.here = Some(INSTALL);
        scene.settle();
        let current = scene.current().unwrap();
        let message = current.message.clone().unwrap();
        assert_eq!(current.attempt, 2, "{message}");
        assert!(message.contains("booted its disk") && message.ends_with(told), "{message}");
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
}

#[test]
fn with_a_bmc_nobody_speaks_for_an_installer_that_has_fetched_nothing_while_the_node_is_ready() {
    let ready = node("10.0.0.1");
    let may = |scene: &Scene, node: Option<&k8s_openapi::api::core::v1::Node>| {
        (may_report(&scene.machine, node), may_end(&scene.machine, node))
    };
    let mut scene = installs(true);
    // Its firmware has booted its disk again.
    assert_eq!(may(&scene, Some(&ready)), (false, false));
    assert_eq!(may(&scene, None), (true, true));
    assert_eq!(may(&scene, Some(&node("10.0.0.7"))), (true, true), "the Node is another's");
    // One that a finalizer holds is still there.
    started(&mut scene);
    assert_eq!(may(&scene, Some(&ready)), (true, true));
}

#[test]
fn a_ready_node_is_never_wiped_by_a_timer() {
    for attempt in 1..=ATTEMPTS {
        // The installer of another image fetches its files, and is not heard when it is done.
        let mut scene = installs(true);
        current(&mut scene).attempt = attempt;
        started(&mut scene);
        scene.node = Some(made(scene.now + SignedDuration::from_mins(5)));
        scene.done.here = Some(SignedDuration::from_mins(31));
        assert!(matches!(scene.settle(), Decision::Rest(_)), "{attempt}");
        assert_eq!(scene.step(), Some("Failed"), "{attempt}");
        assert_eq!(scene.reason(condition::READY), Some("InstallNotReported"));
        assert_eq!(scene.reason(condition::REPAVED), Some("InstallNotReported"));
        assert_eq!(installs_now(&scene), None, "{attempt}");
        // It is asked for again by both counters, as before.
        scene.done = Done::default();
        wants(&mut scene, 2, 2);
        assert_eq!(scene.settle(), Decision::Change(Change::Cordon));
    }
    // What is not ready, or has fetched nothing, is installed again.
    for (ready, fetches) in [(false, true), (true, false)] {
        let mut scene = installs(true);
        if fetches {
            started(&mut scene);
        }
        let mut node = made(scene.now + SignedDuration::from_mins(5));
        if !ready {
            let status = node.status.as_mut().unwrap();
            status.conditions.as_mut().unwrap()[0].status = "Unknown".to_owned();
        }
        scene.node = Some(node);
        scene.done.here = Some(SignedDuration::from_mins(31));
        scene.settle();
        assert_eq!(scene.current().unwrap().attempt, 2, "{ready} {fetches}");
    }
}

#[test]
fn an_installer_that_is_heard_before_its_host_is_seen_on_has_been_heard() {
    let mut scene = Scene::asks(1, 1).at(PoweringOn);
    scene.sees(metal_core::redfish::PowerState::Off);
    started(&mut scene);
    scene.sees(metal_core::redfish::PowerState::On);
    scene.settle();
    assert_eq!(scene.step(), Some("Installing"));
    assert!(is_heard(&scene.machine));
    // The next attempt begins anew.
    scene.done.here = Some(INSTALL);
    scene.settle();
    assert!(!is_heard(&scene.machine));
}

#[test]
fn a_person_ends_an_installation_of_which_nobody_has_told_the_end() {
    let vouch = |scene: &mut Scene, text: &str| {
        let annotation = (annotation::ACCEPT_INSTALLATION.to_owned(), text.to_owned());
        scene.machine.metadata.annotations = Some([annotation].into());
        scene.settle()
    };
    let settle = Decision::Change(Change::Settle { annotation: annotation::ACCEPT_INSTALLATION });
    let mut scene = installs(true);
    started(&mut scene);
    // Nobody ends one in progress by that.
    assert!(matches!(vouch(&mut scene, "1"), Decision::Rest(_)));
    assert_eq!(scene.step(), Some("Installing"));
    scene.machine.metadata.annotations = None;
    scene.node = Some(made(scene.now));
    scene.done.here = Some(SignedDuration::from_mins(31));
    scene.settle();
    let told = scene.status().message.clone().unwrap();
    assert!(told.contains("bloomery.dev/accept-installation=1"), "{told}");
    for wrong in ["0", "2", "yes", ""] {
        vouch(&mut scene, wrong);
        assert_eq!(scene.step(), Some("Failed"), "{wrong}");
    }
    let old = scene.machine.status.clone().unwrap();
    assert_eq!(vouch(&mut scene, " 1"), settle);
    assert!(news(&old, scene.status()).iter().any(|(_, reason, _)| reason == "Repaved"));
    scene.machine.metadata.annotations = None;
    scene.settle();
    assert_eq!(scene.reason(condition::OPERATIONS_DONE), Some("Done"));
    assert_eq!(scene.reason(condition::READY), Some("NodeReady"));
    assert_eq!((scene.current(), pending(&scene.machine)), (None, Pending::default()));
    // What has failed otherwise is not ended by it.
    let mut scene = installs(true);
    current(&mut scene).attempt = ATTEMPTS;
    scene.done.here = Some(INSTALL);
    scene.settle();
    vouch(&mut scene, "1");
    assert_eq!(scene.reason(condition::READY), Some("InstallTimedOut"));
}

#[test]
fn whose_clock_is_wrong_changes_nothing() {
    for has_bmc in [true, false] {
        for ahead in [-10, 0, 10] {
            let mut scene = installs(has_bmc);
            let of_api_server = scene.now;
            scene.now += SignedDuration::from_mins(ahead);
            says(&mut scene, "writing");
            let mut node = made(of_api_server + SignedDuration::from_mins(5));
            node.metadata.uid = Some("new".to_owned());
            scene.node = Some(node);
            assert!(is_done(&mut scene), "{has_bmc} {ahead}");
        }
        // The Node that was there when the disk was written to is that of the old system.
        let mut scene = installs(has_bmc);
        let mut old = made(scene.now - SignedDuration::from_mins(60));
        old.metadata.uid = Some("old".to_owned());
        scene.node = Some(old);
        says(&mut scene, "writing");
        says(&mut scene, "configuring");
        assert!(!is_done(&mut scene), "{has_bmc}");
    }
}

fn started(scene: &mut Scene) {
    let (phase, message) = (InstallPhase::Started, String::new());
    let progress = InstallProgress { phase, written: 0, total: None, message };
    *scene.status() = reported(&scene.machine, 1, &progress, scene.now.into()).unwrap();
    scene.settle();
}

fn current(scene: &mut Scene) -> &mut metal_api::MachineOperation {
    scene.status().operations.as_mut().unwrap().current.as_mut().unwrap()
}

fn installs_now(scene: &Scene) -> Option<i64> {
    super::super::installs(&scene.machine, scene.now.into())
}

fn wants(scene: &mut Scene, reboot: i64, repave: i64) {
    let (reboot_counter, repave_counter) = (Some(reboot), Some(repave));
    scene.machine.spec.operations =
        Some(metal_api::MachineOperations { reboot_counter, repave_counter });
}
