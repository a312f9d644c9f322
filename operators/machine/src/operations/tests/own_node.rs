//! Whose a Node is.

use super::{
    super::*,
    fixture::{Scene, node},
};
use metal_api::{
    MachineOperationStep::{Failed, PoweringOff},
    MachineSystemStatus, MachineTpmStatus,
};
use metal_core::redfish::PowerState;

const UUID: &str = "4c4c4544-0042-3510-8057-b4c04f4e3232";

#[test]
fn a_node_is_its_machine_by_the_uuid_of_its_hardware_whatever_its_address() {
    let told = |ip: Option<&str>, uuid: &str| {
        let mut node = node(ip.unwrap_or_default());
        let status = node.status.as_mut().unwrap();
        if ip.is_none() {
            status.addresses = None;
        }
        let info = serde_json::json!({ "systemUUID": uuid });
        status.node_info = Some(serde_json::from_value(info).unwrap());
        node
    };
    let known = |url: &str| {
        let mut scene = Scene::asks(1, 1);
        let system =
            MachineSystemStatus { url: url.to_owned(), device_id: None, uuid: UUID.to_owned() };
        scene.status().redfish.as_mut().unwrap().system = Some(system);
        scene
    };
    let here = "https://192.0.2.9";
    for (url, ip, uuid, expected) in [
        (here, Some("fd00::7"), UUID, Ownership::Own),
        (here, Some("10.0.0.7"), "44454c4c-4200-1035-8057-B4C04F4E3232", Ownership::Own),
        (here, None, UUID, Ownership::Own),
        (here, Some("10.0.0.1"), "", Ownership::Own),
        (here, Some("10.0.0.7"), "4c4c4544-0042-3510-8057-b4c04f4e3233", Ownership::Another),
        (here, Some("10.0.0.7"), "", Ownership::Another),
        // It was read at another BMC than the Machine names now.
        ("https://192.0.2.10", Some("10.0.0.7"), UUID, Ownership::Another),
        (here, Some("10.0.0.7"), "ffffffff-ffff-ffff-ffff-ffffffffffff", Ownership::Another),
    ] {
        let (scene, node) = (known(url), told(ip, uuid));
        assert_eq!(ownership(&scene.machine, &node), expected, "{url} {ip:?} {uuid}");
    }
    // Its pods move away first, and it is deleted where its system is overwritten.
    let mut scene = known(here);
    scene.node = Some(told(Some("fd00::7"), UUID));
    assert_eq!(scene.settle(), Decision::Change(Change::Cordon));
    scene.status().operations.as_mut().unwrap().current.as_mut().unwrap().step = PoweringOff;
    scene.sees(PowerState::Off);
    assert_eq!(scene.settle(), Decision::Change(Change::DeleteNode));
    // What firmware tells without a BMC is no such proof: whoever sends its packets may say it.
    let mut scene = Scene::asks(0, 0);
    scene.machine.spec.pxe.as_mut().unwrap().redfish = None;
    scene.status().system_uuid = Some(UUID.to_owned());
    let node = told(Some("fd00::7"), UUID);
    assert_eq!(ownership(&scene.machine, &node), Ownership::Another);
}

#[test]
fn the_machine_that_metalman_leads_from_is_left_on_until_it_leads_from_elsewhere() {
    for (reboot, repave) in [(1, 0), (1, 1)] {
        let mut scene = Scene::asks(reboot, repave);
        (scene.runs_on, scene.node) = (Some("a"), Some(node("10.0.0.1")));
        assert!(matches!(scene.settle(), Decision::Look(_) | Decision::Rest(_)));
        assert_eq!(scene.current(), None);
        assert_eq!(scene.reason(metal_api::condition::OPERATIONS_DONE), Some("OwnHost"));
        scene.runs_on = Some("b");
        assert_eq!(scene.settle(), Decision::Change(Change::Cordon));
        // What has begun elsewhere goes on, and a Node that only has its name keeps nobody waiting.
        scene.runs_on = Some("a");
        assert_eq!(scene.settle(), Decision::Change(Change::Cordon));
        let mut scene = Scene::asks(reboot, repave);
        (scene.runs_on, scene.node) = (Some("a"), Some(node("10.0.0.7")));
        scene.settle();
        assert_eq!(scene.step(), Some("PoweringOff"));
    }
}

#[test]
fn a_kubelet_in_another_network_does_not_hide_that_metalman_leads_from_its_machine() {
    let mut scene = Scene::asks(1, 1);
    (scene.runs_on, scene.node) = (Some("a"), Some(node("10.0.0.7")));
    let ek_public_key = Some("a key".to_owned());
    let tpm = MachineTpmStatus { ek_public_key, ..MachineTpmStatus::default() };
    scene.status().tpm = Some(tpm);
    scene.settle();
    assert_eq!(scene.current(), None);
    assert_eq!(scene.reason(metal_api::condition::OPERATIONS_DONE), Some("OwnHost"));
}

#[test]
fn a_failure_before_does_not_hide_that_metalman_leads_from_the_machine() {
    let mut scene = Scene::asks(1, 0).at(Failed);
    (scene.runs_on, scene.node) = (Some("a"), Some(node("10.0.0.1")));
    scene.settle();
    assert_eq!(scene.step(), Some("Failed"));
    assert_eq!(scene.reason(metal_api::condition::OPERATIONS_DONE), Some("OwnHost"));
}
