//! Servers of the metal-operator, where there are any: one that has a network interface of a Machine is
//! the same hardware, and two programs would switch it off and on.

use kube::Client;
use metal_api::{MacAddr, Server, ServerSpec, ServerStatus};
use metal_runtime::{
    Absence, follow_if_served,
    index::{Change, Ended, Index},
};

/// Servers, by the MAC addresses of their network interfaces.
pub(crate) fn index() -> Index<Server, MacAddr> {
    Index::new(mac_addresses).trimmed(trim)
}

/// The MAC addresses of a Server.
pub(crate) fn mac_addresses(server: &Server) -> Vec<MacAddr> {
    let interfaces = server.status.iter().flat_map(|status| &status.network_interfaces);
    interfaces.filter_map(|interface| interface.mac_address.parse().ok()).collect()
}

/// Nothing else of them is looked at.
fn trim(server: &mut Server) {
    let network_interfaces = server.status.take().unwrap_or_default().network_interfaces;
    server.status = Some(ServerStatus { network_interfaces, ..ServerStatus::default() });
    server.spec = ServerSpec::default();
    server.metadata.annotations = None;
    server.metadata.labels = None;
    server.metadata.managed_fields = None;
}

/// Follows Servers for ever, and so never returns. Where the API server does not have the kind, there
/// are none.
pub(crate) async fn follow(
    client: &Client,
    index: &Index<Server, MacAddr>,
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
