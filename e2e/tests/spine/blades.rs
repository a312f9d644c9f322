//! A BMC with several systems, as of a chassis with blades.

use crate::{
    claim::Claim,
    path::{is_free_again, resets_are},
    shared::{BLADES, in_turn},
};
use e2e::stack::{Machine, PXE_TENANT, Stack};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use metal_api::{Bmc, Server, ServerState};
use metal_simulator::{Host, Power};
use serde_json::json;
use std::time::Duration;

const LIMIT: Duration = Duration::from_mins(2);
const LABEL: &str = "example.com/restarts";

#[test]
fn a_bmc_with_three_systems_gets_three_servers_and_no_more_after_a_restart() {
    in_turn(async |stack| {
        let blades = [0, 1, 2].map(|index| stack.machine(BLADES, index).unwrap());
        blades[0].plug_in().await.unwrap();
        for (machine, number) in blades.iter().zip(1..) {
            let server = machine.enters(ServerState::Available).await.unwrap();
            let uuid = server.spec.effective_uuid().unwrap().to_string();
            assert_eq!(uuid, machine.report().unwrap().uuid.to_string());
            let uri = format!("/redfish/v1/Systems/{number}");
            assert_eq!(server.spec.system_uri, Some(uri));
            resets_are(machine, 1);
        }
        let before = servers(stack, &blades[0]).await;
        assert_eq!(before.len(), 3, "{before:?}");
        restart(stack, &blades, "1").await;
        assert_eq!(servers(stack, &blades[0]).await, before);

        let [first, claimed, third] = &blades;
        let claim = Claim::of(stack, claimed, &stack.registry.image(PXE_TENANT)).await;
        claim.is_bound().await;
        claimed.boots_tenant().await.unwrap();
        restart(stack, &blades, "2").await;
        assert_eq!(servers(stack, &blades[0]).await, before);
        assert!(matches!(claimed.report().unwrap().host, Host::Tenant { .. }));
        for other in [first, third] {
            let server = other.enters(ServerState::Available).await.unwrap();
            assert!(server.spec.server_claim_ref.is_none());
            assert_eq!(other.report().unwrap().power, Power::Off);
        }
        claim.delete().await;
        claim.is_gone().await;
        is_free_again(claimed).await;
        for (machine, cycles) in [(first, 1), (claimed, 2), (third, 1)] {
            resets_are(machine, cycles);
        }
    });
}

/// Restarts metal-operator, and waits until it has read the systems of the BMC again: each server
/// then has the new label of the BMC.
async fn restart(stack: &Stack, blades: &[Machine<'_>], number: &str) {
    stack.metal.kill().await.unwrap();
    stack.metal.start().unwrap();
    stack.metal.ready(LIMIT).await.unwrap();
    let bmcs = Api::<Bmc>::all(stack.client.clone());
    let label = Patch::Merge(json!({ "metadata": { "labels": { LABEL: number } } }));
    bmcs.patch(&blades[0].name(), &PatchParams::default(), &label).await.unwrap();
    for machine in blades {
        let has_it = |server: &Server| server.labels().get(LABEL).is_some_and(|it| it == number);
        machine.server("labelled", has_it).await.unwrap();
    }
}

/// Names and UIDs of the servers of a BMC.
async fn servers(stack: &Stack, machine: &Machine<'_>) -> Vec<(String, Option<String>)> {
    let all = Api::<Server>::all(stack.client.clone());
    let all = all.list(&ListParams::default()).await.unwrap();
    let is_of = |server: &Server| {
        server.spec.bmc_ref.as_ref().is_some_and(|bmc| bmc.name == machine.name())
    };
    let of_it = all.items.into_iter().filter(is_of);
    of_it.map(|server| (server.name_any(), server.uid())).collect()
}
