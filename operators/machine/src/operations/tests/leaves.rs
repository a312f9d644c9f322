//! Machines that go, or that no longer boot from the network.

use super::{
    super::*,
    fixture::{Scene, cordoned, node},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{MachineOperationStep::*, condition};

const UNCORDON: Decision = Decision::Change(Change::Uncordon);

/// Machines at any step, whose Node is cordoned for that.
fn begun() -> impl Iterator<Item = Scene> {
    [Draining, PoweringOff, PoweringOn, Installing, Finishing, Failed].into_iter().map(|step| {
        let mut scene = Scene::asks(1, 1).at(step);
        scene.node = Some(cordoned(node("10.0.0.1"), true));
        scene
    })
}

#[test]
fn a_machine_on_its_way_out_is_not_switched_and_its_node_takes_pods_again() {
    for mut scene in begun() {
        let step = scene.step().unwrap().to_owned();
        scene.machine.metadata.deletion_timestamp = Some(Time(scene.now));
        assert_eq!(scene.settle(), UNCORDON, "{step}");
        assert_eq!(scene.current(), None, "{step}");
        assert_eq!(scene.reason(condition::OPERATIONS_DONE), Some("Deleting"), "{step}");
        scene.node = None;
        assert!(matches!(scene.settle(), Decision::Rest(_)), "{step}: nothing begins");
    }
}

#[test]
fn a_machine_that_boots_from_the_network_no_more_is_left_as_others_need_it() {
    for mut scene in begun() {
        let step = scene.step().unwrap().to_owned();
        scene.settle();
        assert!(scene.reason(condition::READY).is_some(), "{step}");
        let pxe = scene.machine.spec.pxe.take();
        assert_eq!(scene.settle(), UNCORDON, "{step}");
        let status = scene.machine.status.clone().unwrap();
        assert_eq!((&status.conditions[..], status.phase), (&[][..], None), "{step}");
        assert_eq!(scene.current(), None, "{step}");
        scene.node = None;
        assert!(matches!(scene.settle(), Decision::Rest(_)), "{step}");
        // What whoever manages it now says of it stays.
        let ready = metal_core::conditions::Fact {
            type_: condition::READY,
            holds: true,
            reason: "Other",
            message: "",
        };
        let now = scene.now;
        metal_core::conditions::set(&mut scene.status().conditions, ready, None, now);
        assert!(matches!(scene.settle(), Decision::Rest(_)), "{step}");
        assert_eq!(scene.reason(condition::READY), Some("Other"), "{step}");
        scene.machine.spec.pxe = pxe;
    }
}
