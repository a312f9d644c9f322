//! `kill -9` of each operator at ten moments of the path.

use crate::{
    claim::Claim,
    path::{is_free_again, resets_are},
    shared::{in_turn, pxe, run, settings},
};
use anyhow::{Context, Result};
use e2e::{
    cluster::eventually,
    stack::{Machine, NAMESPACE, Operator, PXE_TENANT, Settings, Stack, until},
};
use futures::future::{join, join_all};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use metal_api::{BootState, Server, ServerBootConfiguration, ServerInventory, ServerState};
use metal_simulator::Power;
use std::time::Duration;
use tokio::sync::watch;

/// The Lease of metal-operator.
const METAL_LEASE: &str = "f26702e4.ironcore.dev";
const LIMIT: Duration = Duration::from_mins(3);

/// When an operator is killed: as soon as this holds.
#[derive(Clone, Copy, Debug)]
enum Moment {
    BmcMade,
    ServerMade,
    ConfigurationMade,
    ConfigurationReady,
    OverrideSet,
    HostOn,
    ReportIn,
    ServerReserved,
    TenantOn,
    ClaimDeleted,
}

const MOMENTS: [Moment; 10] = [
    Moment::BmcMade,
    Moment::ServerMade,
    Moment::ConfigurationMade,
    Moment::ConfigurationReady,
    Moment::OverrideSet,
    Moment::HostOn,
    Moment::ReportIn,
    Moment::ServerReserved,
    Moment::TenantOn,
    Moment::ClaimDeleted,
];

#[test]
fn an_operator_killed_at_any_moment_of_the_path_leaves_the_same_end_and_no_needless_reset() {
    run(async {
        let stack = Stack::start(Settings { fleets: vec![pxe()], ..settings() }).await.unwrap();
        let operators = [&stack.metal, &stack.boot];
        let kills: Vec<_> =
            operators.into_iter().flat_map(|it| MOMENTS.map(|moment| (it, moment))).collect();
        let machines: Vec<_> =
            (0..).zip(&kills).map(|(index, _)| stack.machine(0, index).unwrap()).collect();
        let (turn, turns) = watch::channel(0);
        let lives = machines.iter().map(|machine| life(&stack, machine, turns.clone()));
        let killer = async {
            for ((operator, moment), machine) in kills.iter().zip(&machines) {
                turn.send_replace(machine.index() + 1);
                reached(&stack, machine, *moment).await.unwrap();
                again(operator).await;
            }
        };
        join(join_all(lives), killer).await;
        for machine in &machines {
            resets_are(machine, 2);
        }
    });
}

#[test]
fn a_metal_operator_that_is_told_to_stop_gives_its_lease_back() {
    in_turn(async |stack| {
        let leases = Api::<Lease>::namespaced(stack.client.clone(), NAMESPACE);
        let holder = async || {
            let lease = leases.get(METAL_LEASE).await?;
            anyhow::Ok(lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default())
        };
        eventually(LIMIT, async || {
            anyhow::ensure!(!holder().await?.is_empty(), "nobody leads");
            Ok(())
        })
        .await
        .unwrap();
        stack.metal.terminate(LIMIT).await.unwrap();
        assert_eq!(holder().await.unwrap(), "");
        stack.metal.start().unwrap();
        stack.metal.ready(LIMIT).await.unwrap();
    });
}

/// The whole path of one machine, as people and tenants see it.
async fn life(stack: &Stack, machine: &Machine<'_>, mut turns: watch::Receiver<u32>) {
    turns.wait_for(|turn| *turn > machine.index()).await.unwrap();
    machine.plug_in().await.unwrap();
    machine.enters(ServerState::Available).await.unwrap();
    let claim = Claim::of(stack, machine, &stack.registry.image(PXE_TENANT)).await;
    claim.is_bound().await;
    machine.boots_tenant().await.unwrap();
    claim.delete().await;
    claim.is_gone().await;
    is_free_again(machine).await;
}

async fn again(operator: &Operator) {
    operator.kill().await.unwrap();
    operator.start().unwrap();
    operator.ready(LIMIT).await.unwrap();
}

/// Waits for the moment.
async fn reached(stack: &Stack, machine: &Machine<'_>, moment: Moment) -> Result<()> {
    let name = machine.server_name();
    let client = stack.client.clone();
    let configurations = Api::<ServerBootConfiguration>::namespaced(client.clone(), NAMESPACE);
    let made = |_: &ServerBootConfiguration| true;
    let ready = |it: &ServerBootConfiguration| {
        it.status.as_ref().and_then(|status| status.state.as_ref()) == Some(&BootState::Ready)
    };
    match moment {
        Moment::BmcMade => machine.bmc("made", |_| true).await.map(drop),
        Moment::ServerMade => machine.server("made", |_| true).await.map(drop),
        Moment::ConfigurationMade => until(&configurations, &name, "made", made).await.map(drop),
        Moment::ConfigurationReady => until(&configurations, &name, "Ready", ready).await.map(drop),
        Moment::OverrideSet => {
            let set = |it: &metal_simulator::MachineReport| {
                it.override_enabled != "Disabled" || is_on(it)
            };
            machine.is("set to boot from the network", set).await.map(drop)
        }
        Moment::HostOn => machine.is("on", is_on).await.map(drop),
        Moment::ReportIn => {
            let inventories = Api::<ServerInventory>::all(client);
            until(&inventories, &name, "made", |_| true).await.map(drop)
        }
        Moment::ServerReserved => machine.enters(ServerState::Reserved).await.map(drop),
        Moment::TenantOn => {
            machine.enters(ServerState::Reserved).await?;
            machine.is("on", is_on).await.map(drop)
        }
        Moment::ClaimDeleted => {
            let held = |server: &Server| server.spec.server_claim_ref.is_some();
            machine.server("claimed", held).await?;
            machine.boots_tenant().await?;
            is_being_given_back(stack, machine).await
        }
    }
}

fn is_on(report: &metal_simulator::MachineReport) -> bool {
    report.power != Power::Off
}

/// Waits until the server's claim is deleted or being deleted.
async fn is_being_given_back(stack: &Stack, machine: &Machine<'_>) -> Result<()> {
    let servers = Api::<Server>::all(stack.client.clone());
    eventually(LIMIT, async || {
        let server = servers.get(&machine.server_name()).await?;
        let Some(claim) = server.spec.server_claim_ref else { return Ok(()) };
        let claims =
            Api::<metal_api::ServerClaim>::namespaced(stack.client.clone(), &claim.namespace);
        match claims.get_opt(&claim.name).await? {
            None => Ok(()),
            Some(claim) => claim.metadata.deletion_timestamp.context("not deleted yet").map(drop),
        }
    })
    .await
}
