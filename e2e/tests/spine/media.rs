//! BMCs that can boot from a medium in a virtual drive only.

use crate::{
    claim::{Claim, ignition_digest},
    path::{is_described, is_free_again},
    shared::{MEDIA, denied, machine, on_stack},
};
use e2e::stack::{HTTP_TENANT, Machine, Tenant};
use metal_api::{Server, ServerState, condition};
use metal_simulator::{Action, Event, Fault, Reset};

#[test]
fn a_bmc_becomes_a_server_that_is_claimed_booted_from_a_medium_and_given_back() {
    on_stack(async |stack| {
        let machine = machine(stack, MEDIA);
        // A refusal without a reason, so that a mode is tried, which is refused as well.
        let refusal = Fault::new("/redfish/v1/Systems/1$", Action::Status(400));
        let refusal = refusal.times(1).only(machine.index());
        let refusal = Fault { method: Some("PATCH".to_owned()), ..refusal };
        machine.simulator().fault(refusal).unwrap();
        machine.plug_in().await.unwrap();
        let server = machine.enters(ServerState::Available).await.unwrap();
        is_described(stack, &machine, &server).await;
        media_were_in(&machine, 1);

        let claim = Claim::of(stack, &machine, &stack.registry.image(HTTP_TENANT)).await;
        claim.is_bound().await;
        let Tenant { images, ignition } = machine.boots_tenant().await.unwrap();
        assert!(matches!(images.as_slice(), [url] if url.contains("/media/")), "{images:?}");
        assert_eq!(ignition, Some(ignition_digest()));

        // The BMC cannot ask the system to shut down, and the power of a tenant is not cut.
        claim.delete().await;
        let waits = |server: &Server| {
            let conditions = server.status.as_ref().map(|status| status.conditions.as_slice());
            denied(conditions.unwrap_or_default(), condition::READY).is_some_and(
                |(reason, message)| {
                    reason == "WaitingForPowerOff" && message.contains("power off the host by hand")
                },
            )
        };
        machine.server("waiting for a person", waits).await.unwrap();
        machine.simulator().reset(machine.index(), Reset::ForceOff).unwrap();
        claim.is_gone().await;
        is_free_again(&machine).await;
        media_were_in(&machine, 2);
        let counters = machine.report().unwrap().counters;
        let resets = [Reset::On, Reset::ForceOff].map(|reset| counters.resets.of(reset));
        assert_eq!((resets, counters.resets.total(), counters.needless_resets), ([2, 2], 4, 0));
    });
}

/// This many media were inserted, and ejected again.
fn media_were_in(machine: &Machine<'_>, number: usize) {
    let journal = machine.report().unwrap().journal;
    let count = |event| journal.entries().filter(|entry| entry.event == event).count();
    let seen = [Event::MediumInserted, Event::MediumEjected].map(count);
    assert_eq!(seen, [number; 2], "{journal:#?}");
}
