//! Servers of the metal-operator, where there are any: one that has a network interface or the UUID of a Machine is
//! the same hardware, and two programs would switch it off and on.

use kube::Client;
use metal_api::{Server, ServerSpec, ServerStatus};
use metal_core::machine_identity::{Address, addresses_of_server};
use metal_runtime::{
    Absence, follow_if_served,
    index::{Change, Ended, Index},
};

/// Admitted Servers, by the MAC addresses of their network interfaces, and by UUID. What a Server says of
/// these comes from its BMC: one that nobody has admitted may say anything.
pub(crate) fn index() -> Index<Server, Address> {
    Index::new(admitted).trimmed(trim)
}

fn admitted(server: &Server) -> Vec<Address> {
    if server.spec.is_held() { vec![] } else { addresses_of_server(server) }
}

/// Nothing else of them is looked at.
fn trim(server: &mut Server) {
    let network_interfaces = server.status.take().unwrap_or_default().network_interfaces;
    server.status = Some(ServerStatus { network_interfaces, ..ServerStatus::default() });
    let ServerSpec { system_uuid, uuid, taints, .. } = std::mem::take(&mut server.spec);
    server.spec = ServerSpec { system_uuid, uuid, taints, ..ServerSpec::default() };
    server.metadata.annotations = None;
    server.metadata.labels = None;
    server.metadata.managed_fields = None;
}

/// Follows Servers forever, and so never returns. Where the API server does not have the kind, there
/// are none.
pub(crate) async fn follow(
    client: &Client,
    index: &Index<Server, Address>,
    on_change: impl FnMut(Change<'_, Server>),
) -> Result<(), Ended> {
    follow_if_served(client, index, on_change, log_absence).await
}

fn log_absence(why: Option<Absence>) {
    match why {
        Some(Absence::Forbidden) => tracing::warn!(
            "may not list servers.metal.ironcore.dev: a Machine that is also a Server is not noticed; \
             apply the ClusterRole of bases/metalman"
        ),
        Some(Absence::NotServed) | None => tracing::info!("there are no Servers"),
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        confirm::{Unconfirmed, confirm},
        fixture::{OURS, machine, served},
    };
    use kube::{core::DeserializeGuard, runtime::watcher::Event};
    use metal_api::{
        MacAddr, MachineOperations, NetworkInterface, Server, ServerSpec, ServerStatus, Taint,
    };
    use std::sync::Arc;

    fn server(taints: &[&str]) -> Server {
        let taint = |key: &&str| Taint { key: (*key).to_owned(), ..Taint::default() };
        let taints = taints.iter().map(taint).collect();
        let mut server = Server::new("compute-1", ServerSpec { taints, ..ServerSpec::default() });
        let interface = NetworkInterface {
            mac_address: "02:00:00:00:00:01".to_owned(),
            ..NetworkInterface::default()
        };
        let network_interfaces = vec![interface];
        server.status = Some(ServerStatus { network_interfaces, ..ServerStatus::default() });
        server
    }

    #[tokio::test]
    async fn a_server_that_nobody_has_admitted_makes_no_machine_ambiguous() {
        let mut ours = machine("node-01", OURS, 1);
        ours.metadata.uid = Some("uid".to_owned());
        ours.spec.operations =
            Some(MachineOperations { repave_counter: Some(1), ..MachineOperations::default() });
        ours.status.get_or_insert_default().operations.get_or_insert_default();
        let (_server, ctx) = served([ours.clone()]).await;
        let ours = Arc::new(ours);
        let mac: MacAddr = "02:00:00:00:00:01".parse().unwrap();
        let unknown = confirm(&ctx, &ours, false).await;
        assert!(unknown.is_ok());
        for (taints, is_twin) in [(&[Taint::NOT_ADMITTED][..], false), (&[], true), (&["x"], true)]
        {
            let event = Ok(Event::Apply(DeserializeGuard(Ok(server(taints)))));
            ctx.view.servers.follow(futures::stream::iter([event])).await.unwrap_err();
            assert_eq!(!ctx.view.twins(&ours).is_empty(), is_twin, "{taints:?}");
            // It keeps its address and its token, and gets no installer.
            assert!(ctx.view.machine_at(OURS.into()).is_ok() && ctx.view.machine_with(mac).is_ok());
            let refused = confirm(&ctx, &ours, false).await.err();
            assert_eq!(refused, is_twin.then_some(Unconfirmed::IsServer), "{taints:?}");
        }
    }
}
