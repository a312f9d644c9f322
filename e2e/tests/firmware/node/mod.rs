//! A Machine from apply to a ready Node: firmware, loader, installer, cloud-init, attestation, and a
//! certificate of the control plane. Nothing but the kubelet is played.

mod image;
mod lab;
mod timeline;

pub(crate) use image::{image, small_image};
pub(crate) use timeline::Timeline;

use crate::inside::{with_netboot_image, with_small_netboot_image};
use e2e::stack::metalman::condition;
use lab::{Lab, Order, System};
use metal_simulator::Reset;
use serde_json::json;

#[test]
fn a_machine_is_installed_by_its_firmware_attests_by_its_tpm_and_becomes_a_node() {
    with_small_netboot_image(async || {
        let lab = Lab::start(Order::OfVariables, System::Small).await;
        let mut timeline = lab.apply(true).await;
        timeline.mark("image");
        lab.raise(json!({ "rebootCounter": 1, "repaveCounter": 1 })).await;
        lab.is_booting(&mut timeline).await;
        lab.is_installed(&mut timeline).await;
        timeline.print("UEFI PXE, installation of a small disk");
        lab.is("done", |it| condition(it, "OperationsDone") == Some("Done")).await;
        lab.end().await;
    });
}

#[test]
#[ignore = "takes longer: hack/test firmware"]
fn a_machine_with_a_bmc_is_installed_becomes_a_node_and_is_installed_anew() {
    with_netboot_image(async || {
        let lab = Lab::start(Order::OfVariables, System::Debian).await;
        let mut timeline = lab.apply(true).await;
        timeline.mark("image");
        lab.raise(json!({ "rebootCounter": 1, "repaveCounter": 1 })).await;
        lab.is_booting(&mut timeline).await;
        let first = lab.is_installed(&mut timeline).await;
        timeline.print("UEFI PXE, installation");

        let mut timeline = Timeline::start();
        lab.raise(json!({ "rebootCounter": 2, "repaveCounter": 2 })).await;
        lab.is_booting(&mut timeline).await;
        let second = lab.is_installed(&mut timeline).await;
        timeline.print("UEFI PXE, repave");
        assert_ne!(first.metadata.uid, second.metadata.uid, "it is another node");
        lab.is("done", |it| condition(it, "OperationsDone") == Some("Done")).await;
        lab.end().await;
    });
}

#[test]
#[ignore = "takes longer: hack/test firmware"]
fn a_machine_that_always_boots_by_http_is_installed_once_and_then_starts_from_its_disk() {
    with_netboot_image(async || {
        let lab = Lab::start(Order::NetworkFirst, System::Debian).await;
        let mut timeline = lab.apply(false).await;
        timeline.mark("image");
        lab.raise(json!({ "repaveCounter": 1 })).await;
        // A person does what a BMC would.
        lab.reset(Reset::On);
        timeline.mark("switched on");
        let first = lab.is_installed(&mut timeline).await;
        timeline.print("UEFI HTTP, installation without a BMC");
        let boot = |node: &k8s_openapi::api::core::v1::Node| {
            node.status.clone().and_then(|it| it.node_info).map(|it| it.boot_id)
        };

        let mut timeline = Timeline::start();
        lab.reset(Reset::ForceRestart);
        let second = lab.node("started again", |node| boot(node) != boot(&first)).await;
        timeline.mark("Node ready");
        timeline.print("UEFI HTTP, a plain reboot");
        let from_network = "Nothing is to be installed on node-01: starting what its disk has";
        assert_eq!(lab.console().matches(from_network).count(), 2, "{}", lab.console());
        assert_eq!(first.metadata.uid, second.metadata.uid, "it is the same node");
        lab.end().await;
    });
}
