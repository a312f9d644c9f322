//! How operations end, and what is told of it.

use super::{super::*, fixture::Scene};
use metal_api::{MachineInstalledDisk, MachineOperationStep::*, condition};
use metal_core::redfish::PowerState;

/// Settles, and returns the reasons of the events.
fn told(scene: &mut Scene) -> Vec<String> {
    let mut all = vec![];
    for _ in 0..8 {
        let old = scene.machine.status.clone().unwrap();
        let Decision::Record(status) = scene.decide() else { return all };
        all.extend(news(&old, &status).into_iter().map(|(_, reason, _)| reason));
        scene.machine.status = Some(*status);
    }
    panic!("it is written again and again")
}

fn fails(scene: &mut Scene) {
    let operations = scene.status().operations.as_mut().unwrap();
    operations.current.as_mut().unwrap().attempt = ATTEMPTS;
    scene.done.here = Some(INSTALL);
    told(scene);
    assert_eq!(scene.step(), Some("Failed"));
}

#[test]
fn what_was_given_up_or_dropped_is_not_told_as_done() {
    let without_bmc = |scene: &mut Scene| {
        scene.machine.spec.pxe.as_mut().unwrap().redfish = None;
        told(scene)
    };
    let mut scene = Scene::asks(1, 1).at(Installing);
    fails(&mut scene);
    assert!(without_bmc(&mut scene).is_empty());
    assert_eq!(scene.reason(condition::OPERATIONS_DONE), Some("GivenUp"));
    for step in [Draining, PoweringOff, PoweringOn, Installing] {
        let mut scene = Scene::asks(1, 1).at(step.clone());
        assert_eq!(without_bmc(&mut scene), ["OperationDropped"], "{step}");
        assert_eq!(scene.reason(condition::OPERATIONS_DONE), Some("NoBMC"), "{step}");
    }
    // One of a backup, which was told of before.
    let mut scene = Scene::asks(1, 1).at(Failed);
    scene.status().operations.as_mut().unwrap().machine_uid = Some("before".to_owned());
    assert!(told(&mut scene).is_empty());
}

#[test]
fn what_was_given_up_is_told_until_it_is_done() {
    let mut scene = Scene::asks(1, 1).at(Installing);
    scene.status().operations.as_mut().unwrap().reboot_counter = Some(1);
    fails(&mut scene);
    scene.done = Done::default();
    // A reboot alone makes up for no installation.
    scene.machine.spec.operations.as_mut().unwrap().reboot_counter = Some(2);
    told(&mut scene);
    for power in [PowerState::Off, PowerState::On] {
        scene.sees(power);
        told(&mut scene);
    }
    assert_eq!(scene.current(), None);
    assert_eq!(scene.reason(condition::OPERATIONS_DONE), Some("GivenUp"));
    // An installation makes up for a reboot.
    let mut scene = Scene::asks(1, 0).at(PoweringOff);
    let operations = scene.status().operations.as_mut().unwrap();
    operations.current.as_mut().unwrap().attempt = ATTEMPTS;
    scene.done.forced = Some(POWER);
    told(&mut scene);
    assert_eq!(scene.step(), Some("Failed"));
    scene.done = Done::default();
    let wanted = scene.machine.spec.operations.as_mut().unwrap();
    (wanted.reboot_counter, wanted.repave_counter) = (Some(2), Some(1));
    for power in [PowerState::Off, PowerState::On] {
        scene.sees(power);
        told(&mut scene);
    }
    let Callback::Record(status) = installed(&scene.machine, Some(1), None, scene.now.into())
    else {
        panic!()
    };
    scene.machine.status = Some(*status);
    assert_eq!(told(&mut scene), ["OperationDone"]);
    assert_eq!(scene.reason(condition::OPERATIONS_DONE), Some("Done"));
}

#[test]
fn the_disk_that_the_last_installer_has_told_is_recorded_and_forgotten_once_one_tells_none() {
    let disk = |serial: &str| MachineInstalledDisk {
        serial: Some(serial.to_owned()),
        ..MachineInstalledDisk::default()
    };
    for has_bmc in [true, false] {
        for told in [Some(disk("B")), None] {
            let mut scene = Scene::asks(1, 1).at(Installing);
            if !has_bmc {
                scene.machine.spec.pxe.as_mut().unwrap().redfish = None;
                scene.status().operations.as_mut().unwrap().current = None;
            }
            scene.status().operations.as_mut().unwrap().installed_disk = Some(disk("A"));
            let now = scene.now.into();
            let done = installed(&scene.machine, Some(1), told.clone(), now);
            let Callback::Record(status) = done else { panic!("{has_bmc} {told:?}") };
            scene.machine.status = Some(*status);
            assert_eq!(scene.status().operations.as_ref().unwrap().installed_disk, told);
            // Said again, it changes nothing, whatever is said.
            let again = installed(&scene.machine, Some(1), Some(disk("C")), now);
            assert_eq!(again, Callback::Nothing);
        }
    }
}

#[test]
fn an_end_that_nobody_has_told_leaves_no_disk_that_may_be_another_one_by_now() {
    let mut scene = Scene::asks(1, 1).at(Installing);
    let progress = serde_json::from_str(r#"{"phase":"writing"}"#).unwrap();
    *scene.status() = reported(&scene.machine, 1, &progress, scene.now.into()).unwrap();
    let operations = scene.status().operations.as_mut().unwrap();
    operations.installed_disk = Some(MachineInstalledDisk::default());
    let mut node = super::fixture::node("10.0.0.1");
    let made = scene.now + SignedDuration::from_secs(60);
    node.metadata.creation_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(made));
    scene.node = Some(node);
    scene.settle();
    assert_eq!(scene.reason(condition::OPERATIONS_DONE), Some("Done"));
    assert_eq!(scene.status().operations.as_ref().unwrap().installed_disk, None);
}

#[test]
fn an_end_that_a_node_proves_is_told() {
    for has_bmc in [true, false] {
        let mut scene = Scene::asks(1, 1).at(Installing);
        if !has_bmc {
            scene.machine.spec.pxe.as_mut().unwrap().redfish = None;
        }
        told(&mut scene);
        let progress = serde_json::from_str(r#"{"phase":"writing"}"#).unwrap();
        *scene.status() = reported(&scene.machine, 1, &progress, scene.now.into()).unwrap();
        let mut node = super::fixture::node("10.0.0.1");
        let made = scene.now + SignedDuration::from_secs(60);
        node.metadata.creation_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(made));
        scene.node = Some(node);
        assert!(told(&mut scene).contains(&"Repaved".to_owned()), "{has_bmc}");
        assert_eq!(scene.reason(condition::OPERATIONS_DONE), Some("Done"), "{has_bmc}");
    }
}

#[test]
fn an_operation_ends_also_if_a_clock_was_set_back() {
    let mut scene = Scene::asks(1, 1).at(Finishing);
    let operations = scene.status().operations.as_mut().unwrap();
    (operations.reboot_counter, operations.repave_counter) = (Some(1), Some(1));
    operations.current.as_mut().unwrap().boot_override = true;
    scene.now -= TIDY;
    scene.reading = Some((SignedDuration::ZERO, Err(ReadError::CertificateDiffers(String::new()))));
    // Which hardware it is, is not known yet, and is looked at once nothing else is to be done.
    assert_eq!(told(&mut scene), ["OperationDone", "CertificateDiffers"]);
    assert_eq!(scene.current(), None);
}

#[test]
fn no_step_is_waited_for_without_end() {
    for (step, expected) in [(Finishing, None), (Other("Later".to_owned()), Some("Failed"))] {
        let mut scene = Scene::asks(1, 1).at(step.clone());
        let operations = scene.status().operations.as_mut().unwrap();
        (operations.reboot_counter, operations.repave_counter) = (Some(1), Some(1));
        scene.status().redfish = None;
        scene.certificate = Some(Err("TCP connection failed".to_owned()));
        scene.settle();
        assert_eq!(scene.step(), Some(step.as_str()));
        scene.now += OUTDATED;
        scene.settle();
        assert_eq!(scene.step(), expected, "{step}");
    }
}
