//! Servers of the metal-operator, where there are any: one that has a network interface of a Machine is
//! the same hardware, and two programs would switch it off and on.

use futures::{StreamExt, future, stream};
use kube::{Client, core::DeserializeGuard, runtime::watcher::Event};
use metal_api::{MacAddr, Server, ServerSpec, ServerStatus};
use metal_runtime::{
    Absence, absence,
    index::{Change, Ended, Index},
    jittered, watch_if_served,
};
use std::time::Duration;
use tokio::time::sleep;

/// How often to check whether there are Servers by now.
const AGAIN: Duration = Duration::from_mins(5);

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
    mut on_change: impl FnMut(Change<'_, Server>),
) -> Result<(), Ended> {
    let mut told = None;
    loop {
        let mut why = None;
        let events = watch_if_served::<Server>(client).take_while(|event| {
            why = event.as_ref().err().and_then(absence);
            future::ready(why.is_none())
        });
        // It ends when there is nothing to be watched.
        index.follow_with(events, &mut on_change).await.ok();
        let none = [Event::<DeserializeGuard<Server>>::Init, Event::InitDone].map(Ok);
        index.follow_with(stream::iter(none), &mut on_change).await.ok();
        if told != Some(why) {
            told = Some(why);
            tell(why);
        }
        sleep(jittered(AGAIN)).await;
    }
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
