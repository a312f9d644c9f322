//! Machines of metalman, where there are any: one that has a network interface, the UUID or the BMC of a Server is
//! the same hardware, and two programs would switch it off and on.

use kube::Client;
use metal_api::{
    Machine, MachinePxe, MachineRedfish, MachineRedfishStatus, MachineSpec, MachineStatus,
};
use metal_core::{
    bmc_host::BmcHost,
    machine_identity::{Address, hardware_addresses},
    server::machines::bmc_of,
};
use metal_runtime::{
    Absence, follow_if_served,
    index::{Change, Ended, Index},
};

/// Lookup keys of a Machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum MachineKey {
    /// By a MAC address, or the UUID.
    Hardware(Address),
    /// By the host of its BMC, at whatever port.
    Bmc(BmcHost),
}

/// Machines, by what identifies their hardware.
pub(crate) fn index() -> Index<Machine, MachineKey> {
    Index::new(hardware).trimmed(trim)
}

/// What identifies the hardware of a Machine.
pub(crate) fn hardware(machine: &Machine) -> Vec<MachineKey> {
    let is_hardware = |address: &Address| match address {
        Address::Mac(_) | Address::Uuid(_) => true,
        Address::Ip(_) => false,
    };
    let addresses = hardware_addresses(machine).into_iter().filter(is_hardware);
    addresses.map(MachineKey::Hardware).chain(bmc_of(machine).map(MachineKey::Bmc)).collect()
}

/// Nothing else of them is looked at.
fn trim(machine: &mut Machine) {
    let pxe = machine.spec.pxe.take().unwrap_or_default();
    let place = |it: MachineRedfish| MachineRedfish {
        url: it.url,
        device_id: it.device_id,
        ..MachineRedfish::default()
    };
    let (dhcp_leases, redfish) = (pxe.dhcp_leases, pxe.redfish.map(place));
    let pxe = Some(MachinePxe { dhcp_leases, redfish, ..MachinePxe::default() });
    machine.spec = MachineSpec { pxe, ..MachineSpec::default() };
    let MachineStatus { redfish, system_uuid, .. } = machine.status.take().unwrap_or_default();
    let redfish = redfish
        .map(|it| MachineRedfishStatus { system: it.system, ..MachineRedfishStatus::default() });
    machine.status = Some(MachineStatus { redfish, system_uuid, ..MachineStatus::default() });
    machine.metadata.annotations = None;
    machine.metadata.labels = None;
    machine.metadata.managed_fields = None;
}

/// Follows Machines forever, and so never returns. Where the API server does not have the kind, there
/// are none.
pub(crate) async fn follow(
    client: &Client,
    index: &Index<Machine, MachineKey>,
    on_change: impl FnMut(Change<'_, Machine>),
) -> Result<(), Ended> {
    follow_if_served(client, index, on_change, log_absence).await
}

fn log_absence(why: Option<Absence>) {
    match why {
        Some(Absence::Forbidden) => tracing::warn!(
            "may not list machines.unbounded-cloud.io: a Server that is also a Machine is not noticed; \
             apply the ClusterRole of bases/rbac"
        ),
        Some(Absence::NotServed) | None => tracing::info!("there are no Machines"),
    }
}
