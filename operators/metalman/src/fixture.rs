//! Contexts for tests, without a cluster.

use crate::{Context, images::Image};
use k8s_openapi::api::core::v1::Node;
use kube::{
    core::DeserializeGuard,
    runtime::{
        events::{Recorder, Reporter as Source},
        watcher::Event,
    },
};
use metal_api::{Machine, MachineLease, MachinePxe, MachineSpec};
use metal_image::testing::tree;
use metal_runtime::testing::ApiServer;
use std::{net::Ipv4Addr, sync::Arc};
use tempfile::TempDir;

/// Address of a machine.
pub(crate) const OURS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 11);

/// A Machine behind a relay on loopback.
pub(crate) fn machine(name: &str, address: Ipv4Addr, last: u8) -> Machine {
    let lease = MachineLease {
        ipv4: address.to_string(),
        mac: format!("02:00:00:00:00:{last:02x}"),
        subnet_mask: "255.255.255.0".to_owned(),
        gateway: Ipv4Addr::LOCALHOST.to_string(),
        ..MachineLease::default()
    };
    let (image, dhcp_leases) = ("registry.example/image:1".to_owned(), vec![lease]);
    let pxe = MachinePxe { image, dhcp_leases, ..MachinePxe::default() };
    Machine::new(name, MachineSpec { pxe: Some(pxe), ..MachineSpec::default() })
}

/// A context that has listed these Machines.
pub(crate) fn cluster(
    machines: impl IntoIterator<Item = Machine>,
) -> impl Future<Output = Arc<Context>> {
    let served = served(machines);
    async { served.await.1 }
}

/// The same, and the API server that has them.
pub(crate) fn served(
    machines: impl IntoIterator<Item = Machine>,
) -> impl Future<Output = (ApiServer, Arc<Context>)> {
    let machines: Vec<_> = machines.into_iter().collect();
    Box::pin(async move {
        let server = ApiServer::default();
        for machine in &machines {
            server.put(machine);
        }
        let ctx = of(&server);
        list(&ctx, &machines).await;
        let nodes = [Event::<DeserializeGuard<Node>>::Init, Event::InitDone].map(Ok);
        ctx.view.nodes.follow(futures::stream::iter(nodes)).await.unwrap_err();
        (server, ctx)
    })
}

/// Lists these Machines, of this site and of all.
pub(crate) async fn list(ctx: &Context, machines: &[Machine]) {
    let events = || {
        let machines = machines.iter().cloned();
        let machines = machines.map(|it| Event::InitApply(DeserializeGuard(Ok(it))));
        let events = [Event::Init].into_iter().chain(machines).chain([Event::InitDone]);
        futures::stream::iter(events.map(Ok).collect::<Vec<_>>())
    };
    ctx.view.machines.follow(events()).await.unwrap_err();
    ctx.view.everywhere.follow(events()).await.unwrap_err();
}

/// A context that has listed nothing yet.
pub(crate) fn unlisted() -> Arc<Context> {
    of(&ApiServer::default())
}

fn of(server: &ApiServer) -> Arc<Context> {
    let client = server.client("default");
    let recorder = Recorder::new(client.clone(), Source::from("metalman"));
    Arc::new(Context::new(client, recorder, "joining", None))
}

/// Gives a Machine an image of these files, which lie in the folder that is returned.
pub(crate) async fn has_image(
    ctx: &Context,
    machine: &Machine,
    files: &[(&str, &[u8])],
) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let image = Image::load(Arc::new(tree(folder.path(), files).unwrap())).await.unwrap();
    ctx.images.preset(machine, image);
    folder
}
