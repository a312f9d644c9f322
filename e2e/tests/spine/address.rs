//! From which addresses machines may make requests.

use crate::{
    claim::Claim,
    shared::{PXE, machine, on_stack},
};
use anyhow::ensure;
use e2e::{cluster::eventually, stack::PXE_TENANT};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use metal_api::{DhcpLease, DhcpLeaseSpec, DhcpLeaseState, ServerState};
use std::time::Duration;

const LIMIT: Duration = Duration::from_mins(5);
const ELSEWHERE: &str = "127.9.0.1";

#[test]
fn a_machine_that_asks_from_elsewhere_than_its_lease_says_boots_once_that_has_ended() {
    on_stack(async |stack| {
        let machine = machine(stack, PXE);
        machine.plug_in().await.unwrap();
        machine.enters(ServerState::Available).await.unwrap();
        let spec = DhcpLeaseSpec {
            ip: ELSEWHERE.to_owned(),
            client: machine.report().unwrap().nic_macs[0].to_string(),
            hostname: None,
            state: DhcpLeaseState::Bound,
            held_until: Time(Timestamp::now() + SignedDuration::from_hours(1)),
        };
        let leases = Api::<DhcpLease>::all(stack.client.clone());
        leases.create(&PostParams::default(), &DhcpLease::new(ELSEWHERE, spec)).await.unwrap();
        let claim = Claim::of(stack, &machine, &stack.registry.image(PXE_TENANT)).await;
        let refused = eventually(LIMIT, async || {
            let printed = stack.boot.printed()?;
            ensure!(
                printed.contains("refused a request from an address that netboot has not leased")
            );
            Ok(())
        });
        refused.await.unwrap();
        leases.delete(ELSEWHERE, &DeleteParams::default()).await.unwrap();
        machine.boots_tenant().await.unwrap();
        claim.delete().await;
    });
}
