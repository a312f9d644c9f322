//! metal-operator in a cluster without the kind of metalman, and what happens when it comes.

use crate::shared::{pxe, run, settings};
use e2e::{
    cluster::workspace,
    stack::{Settings, Stack},
};
use kube::{Api, api::PostParams};
use metal_api::{Machine, MachineLease, MachinePxe, MachineSpec, Server, ServerState};
use std::time::Duration;

const LIMIT: Duration = Duration::from_mins(2);
const CRD: &str = "machines.unbounded-cloud.io";

#[test]
fn without_the_kind_servers_are_found_and_machines_that_come_later_are_noticed() {
    run(async {
        // Its own stack: no other test may be without the kind.
        let stack = Stack::start(Settings { fleets: vec![pxe()], ..settings() }).await.unwrap();
        stack.cluster.kubectl(&["delete", "crd", CRD]).await.unwrap();
        stack.metal.kill().await.unwrap();
        stack.metal.start().unwrap();
        stack.metal.ready(LIMIT).await.unwrap();
        let machine = stack.machine(0, 0).unwrap();
        machine.plug_in().await.unwrap();
        let server = machine.enters(ServerState::Available).await.unwrap();

        let crds = workspace().join("bases/crd");
        let apply = ["apply", "--server-side", "-k", crds.to_str().unwrap()];
        stack.cluster.kubectl(&apply).await.unwrap();
        stack.cluster.established().await.unwrap();
        let interfaces = server.status.unwrap().network_interfaces;
        let lease = MachineLease {
            mac: interfaces[0].mac_address.clone(),
            ipv4: "198.51.100.7".to_owned(),
            subnet_mask: "255.255.255.0".to_owned(),
            ..MachineLease::default()
        };
        let pxe = MachinePxe { dhcp_leases: vec![lease], ..MachinePxe::default() };
        let spec = MachineSpec { pxe: Some(pxe), ..MachineSpec::default() };
        let machines = Api::<Machine>::all(stack.client.clone());
        machines.create(&PostParams::default(), &Machine::new("node-01", spec)).await.unwrap();
        let is_told = |server: &Server| {
            let conditions = server.status.iter().flat_map(|status| &status.conditions);
            let mut ready = conditions.filter(|it| it.type_ == "Ready");
            ready.any(|it| it.reason == "Ambiguous" && it.message.contains("node-01"))
        };
        machine.server("told that it is a Machine as well", is_told).await.unwrap();
    });
}
