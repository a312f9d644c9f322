//! Machines of metalman, where there are any: one that has a network interface of a Server is the same
//! hardware, and two programs would switch it off and on.

use kube::Client;
use metal_api::{MacAddr, Machine, MachinePxe, MachineSpec};
use metal_core::machine::{Address, addresses};
use metal_runtime::{
    Absence, follow_if_served,
    index::{Change, Ended, Index},
};

/// Machines, by the MAC addresses of their network interfaces.
pub(crate) fn index() -> Index<Machine, MacAddr> {
    Index::new(mac_addresses).trimmed(trim)
}

/// The MAC addresses of a Machine.
pub(crate) fn mac_addresses(machine: &Machine) -> Vec<MacAddr> {
    let mac = |address| match address {
        Address::Mac(mac) => Some(mac),
        Address::Ip(_) => None,
    };
    addresses(machine).into_iter().filter_map(mac).collect()
}

/// Nothing else of them is looked at.
fn trim(machine: &mut Machine) {
    let pxe = machine.spec.pxe.take();
    let dhcp_leases = pxe.map(|pxe| pxe.dhcp_leases).unwrap_or_default();
    let pxe = Some(MachinePxe { dhcp_leases, ..MachinePxe::default() });
    machine.spec = MachineSpec { pxe, ..MachineSpec::default() };
    machine.status = None;
    machine.metadata.annotations = None;
    machine.metadata.labels = None;
    machine.metadata.managed_fields = None;
}

/// Follows Machines for ever, and so never returns. Where the API server does not have the kind, there
/// are none.
pub(crate) async fn follow(
    client: &Client,
    index: &Index<Machine, MacAddr>,
    on_change: impl FnMut(Change<'_, Machine>),
) -> Result<(), Ended> {
    follow_if_served(client, index, on_change, tell).await
}

fn tell(why: Option<Absence>) {
    match why {
        Some(Absence::Forbidden) => tracing::warn!(
            "may not list machines.unbounded-cloud.io: a Server that is also a Machine is not noticed; \
             apply the ClusterRole of bases/rbac"
        ),
        Some(Absence::NotServed) | None => tracing::info!("there are no Machines"),
    }
}
