//! Objects of a backup: what they ask for is not done.

use super::{
    super::*,
    fixture::{Scene, node},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{
    MachineOperationStep::*,
    MachineOperations, condition,
    installation::{InstallPhase, InstallProgress},
};
use metal_core::redfish::PowerState;

fn at(second: i64) -> Time {
    Time(Timestamp::from_second(second).unwrap())
}

fn wants(scene: &mut Scene, reboot: i64, repave: i64) {
    let (reboot_counter, repave_counter) = (Some(reboot), Some(repave));
    scene.machine.spec.operations = Some(MachineOperations { reboot_counter, repave_counter });
}

#[test]
fn an_operation_from_a_backup_is_given_up_and_not_resumed() {
    for step in [Draining, PoweringOff, PoweringOn, Installing] {
        // A snapshot of the whole cluster, days later.
        let mut scene = Scene::asks(3, 2).at(step.clone());
        scene.now += SignedDuration::from_hours(72);
        assert_eq!(installs(&scene.machine, scene.now.into()), None, "{step}");
        assert_eq!(
            installed(&scene.machine, Some(2), None, scene.now.into()),
            Callback::Nothing,
            "{step}"
        );
        assert!(matches!(scene.settle(), Decision::Rest(_)), "{step}");
        assert_eq!(scene.step(), Some("Failed"), "{step}");
        assert_eq!(scene.reason(condition::READY), Some("Outdated"), "{step}");
        assert_eq!(scene.reason(condition::OPERATIONS_DONE), Some("Outdated"), "{step}");
        assert_eq!(installs(&scene.machine, scene.now.into()), None, "{step}");
        // It is asked for again by a counter above.
        wants(&mut scene, 4, 3);
        scene.sees(PowerState::On);
        assert!(matches!(scene.settle(), Decision::Act(_)), "{step}");
        assert_eq!(scene.current().unwrap().repave_counter, Some(3));

        // An object that was created anew, with the status of the one before.
        let mut scene = Scene::asks(3, 2).at(step.clone());
        let operations = scene.status().operations.as_mut().unwrap();
        operations.machine_uid = Some("before".to_owned());
        operations.installed_disk = Some(metal_api::MachineInstalledDisk::default());
        assert_eq!(installs(&scene.machine, scene.now.into()), None, "{step}");
        assert_eq!(pending(&scene.machine), Pending::default(), "{step}");
        assert!(matches!(scene.settle(), Decision::Rest(_)), "{step}");
        assert_eq!(scene.reason(condition::READY), Some("Restored"), "{step}");
        let operations = scene.machine.status.clone().unwrap().operations.unwrap();
        assert_eq!(
            (operations.machine_uid.as_deref(), operations.installed_disk),
            (Some("uid"), None)
        );
        assert_eq!(operations.repave_counter, Some(2), "{step}");
    }
}

#[test]
fn an_operation_that_takes_some_hours_is_continued() {
    let mut scene = Scene::asks(3, 2).at(PoweringOff);
    scene.now += SignedDuration::from_hours(5);
    assert!(matches!(scene.settle(), Decision::Act(_)));
    assert_eq!(scene.step(), Some("PoweringOff"));
    // An installer that makes progress may need longer.
    let mut scene = Scene::asks(3, 2).at(Installing);
    let started = scene.now;
    scene.now += SignedDuration::from_hours(7);
    let progress = InstallProgress {
        phase: InstallPhase::Writing,
        written: 1 << 30,
        total: None,
        message: String::new(),
    };
    let status = |scene: &Scene, now: Timestamp| reported(&scene.machine, 2, &progress, now.into());
    assert_eq!(status(&scene, scene.now), None, "it is given up");
    let told = status(&scene, started + SignedDuration::from_hours(5)).unwrap();
    scene.machine.status = Some(told);
    assert_eq!(installs(&scene.machine, scene.now.into()), Some(2));
    scene.settle();
    assert_eq!(scene.step(), Some("Installing"));
}

#[test]
fn a_boot_source_of_a_backup_is_not_taken_away_from_whatever_is_there_now() {
    let mut scene = Scene::asks(3, 2).at(PoweringOn);
    scene.status().operations.as_mut().unwrap().current.as_mut().unwrap().boot_override = true;
    scene.now += SignedDuration::from_hours(72);
    scene.reading = None;
    assert!(matches!(scene.settle(), Decision::Rest(_)));
    assert!(!scene.current().unwrap().boot_override);
}

#[test]
fn counters_that_a_backup_adds_after_the_object_was_created_are_adopted() {
    let created = || {
        let mut scene = Scene::asks(0, 0);
        (scene.machine.spec.operations, scene.machine.status) = (None, None);
        scene.settle();
        scene
    };
    let begins = |scene: &mut Scene| {
        scene.certificate = Some(Ok("aa:bb".to_owned()));
        scene.settle();
        scene.current().is_some()
    };
    for (reboot, repave) in [(5, 5), (0, 2), (2, 0)] {
        let mut scene = created();
        wants(&mut scene, reboot, repave);
        assert_eq!(pending(&scene.machine), Pending::default(), "before the leader has seen it");
        let old = scene.machine.status.clone().unwrap();
        assert!(!begins(&mut scene), "{reboot} {repave}");
        assert_eq!(scene.reason(condition::OPERATIONS_DONE), Some("Adopted"));
        let (is_fine, reason, _) = news(&old, scene.status()).remove(0);
        assert_eq!((is_fine, reason.as_str()), (false, "CountersAdopted"));
        // One more is a request, and so are several later on.
        wants(&mut scene, reboot + 1, repave + 1);
        assert!(begins(&mut scene), "{reboot} {repave}");
    }
    let mut scene = created();
    wants(&mut scene, 1, 1);
    assert!(begins(&mut scene), "a new machine is installed");
    let mut scene = created();
    scene.now += ADOPTION;
    wants(&mut scene, 5, 5);
    assert!(begins(&mut scene));
}

#[test]
fn a_first_request_soon_after_a_machine_was_counted_is_of_a_backup_if_its_node_is_older() {
    let made = |ip: Option<&str>, second| {
        let mut node = node(ip.unwrap_or_default());
        if ip.is_none() {
            node.status.as_mut().unwrap().addresses = None;
        }
        node.metadata.creation_timestamp = Some(at(second));
        Some(node)
    };
    let own = Some("10.0.0.1");
    let pinned = Scene::asks(0, 0).status().redfish.clone();
    for (has, reboot, repave, is_begun) in [
        (made(own, 99), 1, 1, false),
        (made(own, 99), 0, 1, false),
        (made(own, 99), 1, 0, false),
        (made(None, 99), 1, 1, false),
        // It has joined since, or is another machine, and a new machine has none.
        (made(own, 101), 1, 1, true),
        (made(Some("10.0.0.7"), 99), 1, 1, true),
        (None, 1, 1, true),
    ] {
        for later in [SignedDuration::ZERO, ADOPTION] {
            let mut scene = Scene::asks(0, 0);
            (scene.machine.spec.operations, scene.machine.status) = (None, None);
            scene.machine.metadata.creation_timestamp = Some(at(100));
            scene.node = has.clone();
            scene.settle();
            // A person has vouched for the BMC.
            scene.status().redfish = pinned.clone();
            scene.now += later;
            wants(&mut scene, reboot, repave);
            scene.settle();
            let is_late = later == ADOPTION;
            // A repave alone waits for the next reboot.
            let begins = (is_begun || is_late) && reboot > 0;
            assert_eq!(scene.current().is_some(), begins, "{reboot} {repave} {later}");
            if !is_begun && !is_late {
                assert_eq!(scene.reason(condition::OPERATIONS_DONE), Some("Adopted"));
                assert_eq!(installs(&scene.machine, scene.now.into()), None);
                // It is asked for again by one more, at once.
                wants(&mut scene, reboot + 1, repave);
                scene.settle();
                assert!(scene.current().is_some(), "{reboot} {repave}");
            }
        }
    }
}

#[test]
fn a_clock_that_is_set_makes_no_backup_of_an_operation() {
    for step in [Draining, PoweringOff, PoweringOn, Installing] {
        for hours in [-7, 7, 24 * 365] {
            let mut scene = Scene::asks(3, 2).at(step.clone());
            scene.set = SignedDuration::from_hours(hours);
            let clocks = Clocks { wall: scene.now + scene.set, steady: scene.now };
            let is_served = matches!(step, PoweringOn | Installing);
            assert_eq!(installs(&scene.machine, clocks), is_served.then_some(2), "{step} {hours}");
            scene.settle();
            assert_ne!(scene.step(), Some("Failed"), "{step} {hours}");
            // Of a process that was started before it was set, and of one that was started since.
            let mut scene = Scene::asks(3, 2).at(step.clone());
            let recorded = scene.now + SignedDuration::from_hours(hours);
            scene.status().operations.as_mut().unwrap().current.as_mut().unwrap().since.0 =
                recorded;
            scene.set = SignedDuration::from_hours(hours);
            scene.settle();
            assert_ne!(scene.step(), Some("Failed"), "{step} {hours} recorded since");
        }
    }
    // A snapshot is as old by both.
    let mut scene = Scene::asks(3, 2).at(Installing);
    scene.set = SignedDuration::from_hours(7);
    scene.now += SignedDuration::from_hours(72);
    scene.settle();
    assert_eq!(scene.reason(condition::READY), Some("Outdated"));
}

#[test]
fn a_clock_that_is_set_does_not_end_the_time_in_which_counters_are_adopted() {
    for hours in [-1, 1] {
        let mut scene = Scene::asks(0, 0);
        (scene.machine.spec.operations, scene.machine.status) = (None, None);
        scene.settle();
        scene.set = SignedDuration::from_hours(hours);
        wants(&mut scene, 5, 5);
        scene.certificate = Some(Ok("aa:bb".to_owned()));
        scene.settle();
        assert_eq!(scene.reason(condition::OPERATIONS_DONE), Some("Adopted"), "{hours}");
        // Nor is it longer: by the clock that nobody sets it is over.
        scene.now += ADOPTION;
        wants(&mut scene, 8, 8);
        scene.settle();
        assert!(scene.current().is_some(), "{hours}");
    }
}

#[test]
fn without_a_bmc_nobody_gets_an_installer_for_the_counters_of_a_backup() {
    let mut scene = Scene::asks(0, 0);
    scene.machine.spec.pxe.as_mut().unwrap().redfish = None;
    (scene.machine.spec.operations, scene.machine.status) = (None, None);
    scene.settle();
    wants(&mut scene, 0, 5);
    assert_eq!(installs(&scene.machine, scene.now.into()), None, "before the leader has seen it");
    scene.settle();
    assert_eq!(installs(&scene.machine, scene.now.into()), None);
    wants(&mut scene, 0, 6);
    scene.settle();
    assert_eq!(installs(&scene.machine, scene.now.into()), Some(6));
}

#[test]
fn no_password_follows_a_first_certificate_while_the_node_is_older_than_the_status() {
    let shown = (0..32).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":");
    let lost = |ip: &str, made: i64| {
        let mut scene = Scene::asks(0, 0);
        (scene.machine.status, scene.reading) = (None, None);
        scene.certificate = Some(Ok(shown.clone()));
        let mut node = node(ip);
        node.metadata.creation_timestamp = Some(at(made));
        scene.node = Some(node);
        scene
    };
    let pin = |scene: &Scene| scene.machine.status.clone()?.redfish?.cert_fingerprint;
    let now = Scene::asks(0, 0).now.as_second();
    let mut scene = lost("10.0.0.1", now - 60);
    for counter in [0, 1, 2] {
        wants(&mut scene, counter, counter);
        assert!(matches!(scene.settle(), Decision::Rest(_)), "nobody logs in");
        assert_eq!(scene.reason(condition::BMC_REACHABLE), Some("PinMissing"));
        assert_eq!((pin(&scene), scene.step()), (None, None), "{counter}");
        scene.now += SignedDuration::from_hours(1);
    }
    let told = scene.status().conditions.iter().find(|it| it.type_ == condition::BMC_REACHABLE);
    let message = told.map(|it| it.message.clone()).unwrap();
    let fix = format!("{}={shown}", annotation::ACCEPT_CERTIFICATE);
    assert!(message.ends_with(&fix) && !message.contains("  "), "{message}");
    // A person vouches for it.
    let accept = [(annotation::ACCEPT_CERTIFICATE.to_owned(), shown.clone())];
    scene.machine.metadata.annotations = Some(accept.into());
    let settle = Change::Settle { annotation: annotation::ACCEPT_CERTIFICATE };
    assert_eq!(scene.settle(), Decision::Change(settle));
    assert_eq!(pin(&scene), Some(shown.clone()));
    scene.machine.metadata.annotations = None;
    assert_eq!(scene.settle(), Decision::Change(Change::Cordon), "what was asked for begins");
    // It has joined since, or the Node is another's, or there is none: the machine is a new one.
    let mut without = lost("10.0.0.1", now - 60);
    without.node = None;
    for mut scene in [lost("10.0.0.1", now + 60), lost("10.0.0.7", now - 60), without] {
        assert_eq!(scene.settle(), Decision::Look(Need::System));
        assert_eq!(pin(&scene), Some(shown.clone()));
    }
}
