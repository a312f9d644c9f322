//! What a person asks for by counters and annotations, and how it is answered.

use super::{
    super::*,
    fixture::{Scene, node, system},
};
use metal_api::{MachineOperationStep::*, condition};
use metal_core::redfish::{PowerState, ResetType};

#[test]
fn a_repave_alone_waits_for_the_next_reboot() {
    let raise = |scene: &mut Scene, reboot: i64, repave: i64| {
        let (reboot_counter, repave_counter) = (Some(reboot), Some(repave));
        scene.machine.spec.operations =
            Some(metal_api::MachineOperations { reboot_counter, repave_counter });
        scene.settle()
    };
    let mut scene = Scene::asks(0, 1);
    scene.node = Some(node("10.0.0.1"));
    assert!(matches!(scene.settle(), Decision::Rest(_)), "nothing is drained or switched");
    assert_eq!(scene.reason(condition::OPERATIONS_DONE), Some("WaitsForReboot"));
    assert_eq!((scene.current(), installs(&scene.machine, scene.now.into())), (None, None));
    scene.node = None;
    raise(&mut scene, 1, 1);
    let current = scene.current().unwrap();
    assert_eq!((current.reboot_counter, current.repave_counter), (Some(1), Some(1)));
    // Into a reboot that is in progress it goes as well, as long as the host was not switched on for that.
    let mut scene = Scene::asks(1, 0);
    scene.settle();
    raise(&mut scene, 1, 1);
    assert_eq!(scene.current().unwrap().repave_counter, Some(1));
    // So does one after an installation that was given up.
    let mut scene = Scene::asks(1, 1).at(Failed);
    let operations = scene.status().operations.as_mut().unwrap();
    operations.reboot_counter = Some(1);
    operations.given_up =
        Some(metal_api::MachineGivenUp { reboot_counter: None, repave_counter: Some(1) });
    raise(&mut scene, 1, 2);
    assert_eq!(scene.step(), Some("Failed"));
    raise(&mut scene, 2, 2);
    assert_eq!(scene.step(), Some("PoweringOff"));
    // Without a BMC a person switches it.
    let mut scene = Scene::asks(0, 1);
    scene.machine.spec.pxe.as_mut().unwrap().redfish = None;
    scene.settle();
    assert_eq!(scene.reason(condition::OPERATIONS_DONE), Some("NoBMC"));
}

#[test]
fn a_repave_that_is_taken_back_before_the_host_is_switched_on_is_a_reboot() {
    for step in [Draining, PoweringOff, PoweringOn] {
        let mut scene = Scene::asks(1, 1).at(step.clone());
        scene.status().operations.as_mut().unwrap().repave_counter = Some(1);
        scene.sees(PowerState::Off);
        assert_eq!(installs(&scene.machine, scene.now.into()), None, "{step}");
        assert_eq!(scene.settle(), Decision::Act(Step::Reset(ResetType::On)), "{step}");
        assert_eq!(scene.current().unwrap().repave_counter, None, "{step}");
        scene.sees(PowerState::On);
        scene.settle();
        let operations = scene.machine.status.clone().unwrap().operations.unwrap();
        assert_eq!((operations.reboot_counter, operations.current), (Some(1), None), "{step}");
    }
    // Once its installer may run, the disk is overwritten.
    let mut late = Scene::asks(1, 1).at(Installing);
    late.status().operations.as_mut().unwrap().repave_counter = Some(1);
    assert_eq!(installs(&late.machine, late.now.into()), Some(1));
    // So it is where that was heard before its host was seen on.
    let mut heard = Scene::asks(1, 1).at(PoweringOn);
    let progress = serde_json::from_value(serde_json::json!({ "phase": "writing" })).unwrap();
    *heard.status() = reported(&heard.machine, 1, &progress, heard.now.into()).unwrap();
    heard.status().operations.as_mut().unwrap().repave_counter = Some(1);
    assert_eq!(installs(&heard.machine, heard.now.into()), Some(1));
    heard.settle();
    assert_eq!(
        (heard.step(), heard.current().unwrap().repave_counter),
        (Some("Installing"), Some(1))
    );
}

#[test]
fn an_annotation_that_nobody_understands_is_told_where_it_is_asked_for() {
    let message = |scene: &Scene| {
        let all = scene.machine.status.clone().unwrap().conditions;
        all.into_iter().find(|it| it.type_ == condition::BMC_REACHABLE).unwrap().message
    };
    let annotate = |scene: &mut Scene, key: &str, text: &str| {
        scene.machine.metadata.annotations = Some([(key.to_owned(), text.to_owned())].into());
        scene.settle();
    };
    let mut scene = Scene::asks(1, 0).at(PoweringOff);
    let shown = "ab:".repeat(31) + "ab";
    let trouble = ReadError::CertificateDiffers(shown.clone());
    scene.reading = Some((SignedDuration::ZERO, Err(trouble)));
    scene.settle();
    assert!(!message(&scene).contains("not of that form"), "{}", message(&scene));
    let long = "x\n".repeat(10_000);
    for text in ["sha256:5f0c", &shown[3..], "", &long] {
        annotate(&mut scene, annotation::ACCEPT_CERTIFICATE, text);
        let told = message(&scene);
        assert!(told.contains("not of that form"), "{told}");
        assert!(told.len() < 1000 && !told.contains('\n'), "{told}");
    }
    let mut scene = Scene::asks(1, 0).at(PoweringOff);
    for uuid in ["4c4c4544-0042-3510-8057-b4c04f4e3232", "4c4c4544-0042-3510-8057-b4c04f4e3233"] {
        let mut reading = system(PowerState::On);
        reading.uuid = Some(uuid.parse().unwrap());
        scene.reading = Some((SignedDuration::ZERO, Ok(reading)));
        scene.settle();
    }
    assert_eq!(scene.reason(condition::BMC_REACHABLE), Some("SystemDiffers"));
    annotate(&mut scene, annotation::ACCEPT_SYSTEM, "4c4c4544-0042-3510-8057");
    assert!(message(&scene).ends_with("\"4c4c4544-0042-3510-8057\" is not of that form"));
}
