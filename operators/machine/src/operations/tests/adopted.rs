//! Counters that a backup adds while an operation is in progress, or has failed.

use super::{super::*, fixture::Scene};
use metal_api::{MachineOperationStep::*, MachineOperations, condition};
use metal_core::redfish::PowerState;

fn wants(scene: &mut Scene, reboot: i64, repave: i64) {
    let (reboot_counter, repave_counter) = (Some(reboot), Some(repave));
    scene.machine.spec.operations = Some(MachineOperations { reboot_counter, repave_counter });
}

/// A Machine that was created moments ago, of which this was asked before its backup came.
fn created(reboot: i64, repave: i64) -> Scene {
    let mut scene = Scene::asks(0, 0);
    let pinned = scene.status().redfish.clone();
    (scene.machine.spec.operations, scene.machine.status) = (None, None);
    scene.settle();
    scene.status().redfish = pinned;
    wants(&mut scene, reboot, repave);
    scene.settle();
    scene
}

/// What is recorded once the backup is there, and the reasons of the events about it.
fn restores(scene: &mut Scene, reboot: i64, repave: i64) -> Vec<String> {
    let old = scene.machine.status.clone().unwrap();
    wants(scene, reboot, repave);
    let Decision::Record(status) = scene.decide() else { panic!("nothing is recorded") };
    let told = news(&old, &status).into_iter().map(|(_, reason, _)| reason).collect();
    scene.machine.status = Some(*status);
    scene.settle();
    told
}

#[test]
fn counters_of_a_backup_are_adopted_whatever_is_in_progress() {
    for step in [Draining, PoweringOff, PoweringOn, Failed] {
        let mut scene = created(1, 0);
        assert_eq!(scene.step(), Some("PoweringOff"), "the reboot that was asked for");
        if step != PoweringOff {
            scene.status().operations.as_mut().unwrap().current.as_mut().unwrap().step =
                step.clone();
        }
        if step == PoweringOn {
            scene.sees(PowerState::Off);
        }
        assert!(restores(&mut scene, 7, 5).contains(&"CountersAdopted".to_owned()), "{step}");
        let installs = scene.current().and_then(|it| it.repave_counter);
        assert_eq!((installs, pending(&scene.machine)), (None, Pending::default()), "{step}");
        // What was in progress goes on, and nothing follows it.
        for power in [PowerState::Off, PowerState::On, PowerState::On] {
            scene.sees(power);
            scene.settle();
        }
        let operations = scene.machine.status.clone().unwrap().operations.unwrap();
        assert_eq!((operations.reboot_counter, operations.repave_counter), (Some(7), Some(5)));
        assert_eq!(operations.current.is_some(), step == Failed, "{step}");
        wants(&mut scene, 8, 6);
        scene.settle();
        assert_eq!(scene.current().unwrap().repave_counter, Some(6), "one more is a request");
    }
}

#[test]
fn an_installation_in_progress_goes_on_when_higher_counters_are_adopted() {
    let mut scene = created(1, 1);
    scene.sees(PowerState::Off);
    scene.settle();
    scene.sees(PowerState::On);
    scene.settle();
    assert_eq!(scene.step(), Some("Installing"));
    assert_eq!(restores(&mut scene, 7, 5), ["CountersAdopted"]);
    assert_eq!(
        (scene.step(), installs(&scene.machine, scene.now.into())),
        (Some("Installing"), Some(1))
    );
    let Callback::Record(status) = installed(&scene.machine, Some(1), None, scene.now.into())
    else {
        panic!("its installer is not heard")
    };
    scene.machine.status = Some(*status);
    scene.settle();
    assert_eq!((scene.step(), pending(&scene.machine)), (None, Pending::default()));
    assert_eq!(scene.reason(condition::OPERATIONS_DONE), Some("Done"));
}

#[test]
fn an_installation_in_progress_is_not_taken_back_by_the_reboots_of_a_backup() {
    let mut scene = created(1, 1);
    assert_eq!(restores(&mut scene, 7, 1), ["CountersAdopted"]);
    assert_eq!(scene.current().unwrap().repave_counter, Some(1));
    for power in [PowerState::Off, PowerState::On] {
        scene.sees(power);
        scene.settle();
    }
    assert_eq!(scene.step(), Some("Installing"));
    let Callback::Record(status) = installed(&scene.machine, Some(1), None, scene.now.into())
    else {
        panic!("its installer is not heard")
    };
    scene.machine.status = Some(*status);
    scene.settle();
    assert_eq!((scene.step(), pending(&scene.machine)), (None, Pending::default()));
}

#[test]
fn what_was_under_way_is_not_installed_by_hand_once_a_backup_has_taken_its_bmc() {
    let mut scene = created(1, 1);
    scene.machine.spec.pxe.as_mut().unwrap().redfish = None;
    restores(&mut scene, 7, 1);
    assert_eq!((scene.step(), installs(&scene.machine, scene.now.into())), (None, None));
}

#[test]
fn counters_of_a_backup_are_adopted_after_its_status_was_given_up() {
    let mut scene = Scene::asks(0, 0).at(PoweringOff);
    let operations = scene.status().operations.as_mut().unwrap();
    operations.machine_uid = Some("before".to_owned());
    operations.current.as_mut().unwrap().reboot_counter = Some(7);
    scene.machine.spec.operations = None;
    scene.settle();
    assert_eq!((scene.step(), scene.reason(condition::READY)), (Some("Failed"), Some("Restored")));
    assert_eq!(restores(&mut scene, 7, 5), ["CountersAdopted"]);
    assert_eq!((scene.step(), pending(&scene.machine)), (Some("Failed"), Pending::default()));
}
