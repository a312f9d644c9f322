//! An API server that is away for longer than a lease lasts.

use crate::{
    claim::Claim,
    path::{is_free_again, resets_are},
    shared::{pxe, run, settings},
};
use e2e::stack::{PXE_TENANT, Settings, Stack};
use metal_api::ServerState;
use std::time::Duration;
use tokio::time::sleep;

/// Longer than a lease lasts, and than what was read of a Secret counts as new.
const AWAY: Duration = Duration::from_secs(40);
const SOON: Duration = Duration::from_secs(5);

#[test]
fn operators_outlive_the_api_server_and_go_on_with_the_path_when_it_is_back() {
    run(async {
        let stack = Stack::start(Settings { fleets: vec![pxe()], ..settings() }).await.unwrap();
        let machine = stack.machine(0, 0).unwrap();
        machine.plug_in().await.unwrap();
        machine.enters(ServerState::Available).await.unwrap();
        let claim = Claim::of(&stack, &machine, &stack.registry.image(PXE_TENANT)).await;
        claim.is_bound().await;
        machine.boots_tenant().await.unwrap();

        let outage = stack.cluster.outage().await.unwrap();
        sleep(AWAY).await;
        for operator in [&stack.metal, &stack.boot] {
            operator.ready(SOON).await.unwrap();
            assert!(operator.printed().unwrap().contains("controllers stopped"));
        }
        outage.end().await.unwrap();
        claim.delete().await;
        claim.is_gone().await;
        is_free_again(&machine).await;
        resets_are(&machine, 2);
    });
}
