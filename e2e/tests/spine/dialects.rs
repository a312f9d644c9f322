//! BMCs that lack something, or refuse it: their conditions say so.

use crate::{
    claim::Claim,
    path::is_free_again,
    shared::{BOOT_REFUSED, NO_SYSTEMS, OLD, SESSIONS_FULL, denied, holds, machine, on_stack},
};
use e2e::{
    cluster::http_client,
    stack::{PXE_TENANT, Stack},
};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use metal_api::{Bmc, Server, ServerState, annotation, condition};
use metal_simulator::{Host, Power};
use serde_json::json;
use std::time::Duration;
use tokio::time::sleep;

const SYSTEM: &str = "/redfish/v1/Systems/1";
/// Longer than metal-operator acts on what it has read of a BMC.
const STALE: Duration = Duration::from_secs(6);

#[test]
fn a_bmc_without_systems_is_connected_and_one_without_a_free_session_is_told_so() {
    on_stack(async |stack| {
        let (empty, full) = (machine(stack, NO_SYSTEMS), machine(stack, SESSIONS_FULL));
        empty.plug_in().await.unwrap();
        full.plug_in().await.unwrap();
        let reason = |bmc: &Bmc, type_| {
            let conditions = &bmc.status.as_ref()?.conditions;
            denied(conditions, type_).map(|(reason, _)| reason.to_owned())
        };
        let is_connected = |bmc: &Bmc| {
            let conditions = bmc.status.as_ref().map(|status| status.conditions.as_slice());
            holds(conditions.unwrap_or_default(), condition::READY)
                && reason(bmc, condition::SYSTEMS_KNOWN).as_deref() == Some("NoSystems")
        };
        empty.bmc("connected, without systems", is_connected).await.unwrap();
        let is_told =
            |bmc: &Bmc| reason(bmc, condition::READY).as_deref() == Some("SessionLimitExceeded");
        full.bmc("without a free session", is_told).await.unwrap();
        let servers = Api::<Server>::all(stack.client.clone());
        for machine in [empty, full] {
            assert!(servers.get_opt(&machine.server_name()).await.unwrap().is_none());
        }
    });
}

#[test]
fn a_boot_override_that_is_refused_in_every_form_is_told_and_the_host_is_not_switched_on() {
    on_stack(async |stack| {
        let machine = machine(stack, BOOT_REFUSED);
        machine.plug_in().await.unwrap();
        let told = |server: &Server| {
            let conditions = &server.status.as_ref()?.conditions;
            let (reason, message) = denied(conditions, condition::READY)?;
            (reason == "BootOverrideFailed").then(|| message.to_owned())
        };
        let is_told = |server: &Server| told(server).is_some();
        let server = machine.server("told that its BMC refuses", is_told).await.unwrap();
        let message = told(&server).unwrap();
        assert!(message.contains(SYSTEM), "{message}");
        assert!(message.contains("property Boot is read-only"), "{message}");
        assert!(message.contains("BootSourceOverrideMode"), "other forms were tried: {message}");
        let report = machine.report().unwrap();
        assert_eq!((report.power, report.counters.resets.total()), (Power::Off, 0));
    });
}

#[test]
fn an_override_that_was_left_is_cleared_in_the_form_that_the_bmc_takes_before_the_disk_boots() {
    on_stack(async |stack| {
        let machine = machine(stack, OLD);
        machine.plug_in().await.unwrap();
        machine.enters(ServerState::Available).await.unwrap();
        set_at_the_bmc(machine.simulator().bmc(machine.index()).unwrap()).await;
        from_disk(stack, &machine.server_name()).await;
        sleep(STALE).await;
        let claim = Claim::of(stack, &machine, &stack.registry.image(PXE_TENANT)).await;
        claim.is_bound().await;
        let report = machine.is("booted from its disk", |it| it.host == Host::Disk).await.unwrap();
        assert_eq!(report.override_target, "None");
        claim.delete().await;
        claim.is_gone().await;
        is_free_again(&machine).await;
    });
}

/// A person makes a host boot from the network at every start.
async fn set_at_the_bmc(bmc: std::net::SocketAddr) {
    let boot = json!({ "Boot": {
        "BootSourceOverrideEnabled": "Continuous",
        "BootSourceOverrideTarget": "Pxe",
        "BootSourceOverrideMode": "UEFI",
    }});
    let request = http_client().unwrap().patch(format!("http://{bmc}{SYSTEM}")).json(&boot);
    let answer = request.basic_auth("foo", Some("bar")).send().await.unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
}

async fn from_disk(stack: &Stack, server: &str) {
    let servers = Api::<Server>::all(stack.client.clone());
    let method = json!({ "metadata": { "annotations": { annotation::BOOT_METHOD: "disk" } } });
    servers.patch(server, &PatchParams::default(), &Patch::Merge(method)).await.unwrap();
}
