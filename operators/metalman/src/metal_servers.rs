//! Servers of the metal-operator, where there are any: one that has a network interface or the UUID of a Machine is
//! the same hardware, and two programs would switch it off and on.

use kube::Client;
use metal_api::{Server, ServerSpec, ServerStatus};
use metal_core::machine::{Address, addresses_of_server};
use metal_runtime::{
    Absence, follow_if_served,
    index::{Change, Ended, Index},
};

/// Servers, by the MAC addresses of their network interfaces, and by UUID.
pub(crate) fn index() -> Index<Server, Address> {
    Index::new(addresses_of_server).trimmed(trim)
}

/// Nothing else of them is looked at.
fn trim(server: &mut Server) {
    let network_interfaces = server.status.take().unwrap_or_default().network_interfaces;
    server.status = Some(ServerStatus { network_interfaces, ..ServerStatus::default() });
    let ServerSpec { system_uuid, uuid, .. } = std::mem::take(&mut server.spec);
    server.spec = ServerSpec { system_uuid, uuid, ..ServerSpec::default() };
    server.metadata.annotations = None;
    server.metadata.labels = None;
    server.metadata.managed_fields = None;
}

/// Follows Servers for ever, and so never returns. Where the API server does not have the kind, there
/// are none.
pub(crate) async fn follow(
    client: &Client,
    index: &Index<Server, Address>,
    on_change: impl FnMut(Change<'_, Server>),
) -> Result<(), Ended> {
    follow_if_served(client, index, on_change, tell).await
}

fn tell(why: Option<Absence>) {
    match why {
        Some(Absence::Forbidden) => tracing::warn!(
            "may not list servers.metal.ironcore.dev: a Machine that is also a Server is not noticed; \
             apply the ClusterRole of bases/metalman"
        ),
        Some(Absence::NotServed) | None => tracing::info!("there are no Servers"),
    }
}
