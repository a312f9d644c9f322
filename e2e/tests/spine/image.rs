//! Images that cannot be booted: the claim says why, and the host stays off.

use crate::{
    claim::Claim,
    shared::{HTTP, PXE, denied, holds, machine, on_stack},
};
use e2e::stack::{HTTP_TENANT, NO_KERNEL, PXE_TENANT};
use metal_api::{BootState, ServerBootConfiguration, ServerClaim, ServerState, condition};
use metal_simulator::Power;

#[test]
fn an_image_that_cannot_be_booted_is_told_at_the_claim_and_a_better_one_boots() {
    on_stack(async |stack| {
        let machine = machine(stack, PXE);
        machine.plug_in().await.unwrap();
        machine.enters(ServerState::Available).await.unwrap();
        let strange = "registry.example/os/tenant:1".to_owned();
        let cases = [
            (stack.registry.image("os/missing:1"), "os/missing"),
            (stack.registry.image(NO_KERNEL), "kernel"),
            (strange, "registry.example"),
            ("not an image!".to_owned(), "not an image!"),
        ];
        let claim = Claim::of(stack, &machine, &cases[0].0).await;
        for (image, word) in &cases {
            claim.wants(image).await;
            let told = |claim: &ServerClaim| why(claim).is_some_and(|why| why.contains(word));
            let claim = claim.is(&format!("refused for {word}"), told).await;
            assert_eq!(claim.spec.image, *image);
            let report = machine.report().unwrap();
            assert_eq!((report.power, report.counters.resets.total()), (Power::Off, 2));
        }
        claim.wants(&stack.registry.image(PXE_TENANT)).await;
        claim
            .is("configured", |claim| {
                let conditions = claim.status.as_ref().map(|status| status.conditions.as_slice());
                holds(conditions.unwrap_or_default(), condition::BOOT_CONFIGURED)
            })
            .await;
        machine.boots_tenant().await.unwrap();
        claim.delete().await;
        claim.is_gone().await;
    });
}

#[test]
fn an_image_for_another_kind_of_boot_leaves_the_host_off_and_says_why() {
    on_stack(async |stack| {
        let cases = [(PXE, HTTP_TENANT), (HTTP, PXE_TENANT)];
        for (fleet, image) in cases {
            let machine = machine(stack, fleet);
            machine.plug_in().await.unwrap();
            machine.enters(ServerState::Available).await.unwrap();
            let claim = Claim::of(stack, &machine, &stack.registry.image(image)).await;
            let judged = |it: &ServerBootConfiguration| {
                let state = it.status.as_ref().and_then(|status| status.state.as_ref());
                matches!(state, Some(BootState::Ready | BootState::Error))
            };
            claim.configuration("judged", judged).await;
            let waits = |server: &metal_api::Server| {
                let conditions = server.status.as_ref().map(|status| status.conditions.as_slice());
                denied(conditions.unwrap_or_default(), condition::READY)
                    .is_some_and(|(reason, _)| reason == "NoBootSource")
            };
            machine.server("without boot source", waits).await.unwrap();
            assert_eq!(machine.report().unwrap().power, Power::Off);
            claim.delete().await;
            claim.is_gone().await;
        }
    });
}

/// Why the claim's server does not boot.
fn why(claim: &ServerClaim) -> Option<String> {
    let conditions = &claim.status.as_ref()?.conditions;
    denied(conditions, condition::BOOT_CONFIGURED)
        .filter(|(reason, _)| *reason == "BootConfigurationError")
        .map(|(_, message)| message.to_owned())
}
