//! Which Node a machine is.

use super::super::{Observation, is_ready};
use k8s_openapi::api::core::v1::Node;
use metal_api::{Machine, MachineStatus, SystemUuid};
use metal_core::machine_identity::{lease::ipv4, uuid_by_bmc};
use std::net::Ipv4Addr;

/// The Node of the Machine: it has its name, and one of its addresses or the UUID of its hardware. A Node that only
/// has the same name is left alone, so that creating a Machine gives no power over other Nodes.
pub(super) fn node<'a>(seen: &Observation<'a>) -> Option<&'a Node> {
    seen.node.filter(|node| is_node_of(seen.machine, node))
}

/// Whether this process runs on the machine, and would not be there to switch it on again. The kubelet of a machine
/// that has attested may use another network: its Node is then still taken for it here, as it is for the phase.
pub(super) fn hosts_us(seen: &Observation<'_>) -> bool {
    let tpm = seen.machine.status.as_ref().and_then(|status| status.tpm.as_ref());
    let has_attested = tpm.is_some_and(|tpm| tpm.ek_public_key.is_some());
    let own = seen.node.filter(|node| has_attested || is_node_of(seen.machine, node));
    let name = own.and_then(|node| node.metadata.name.as_deref());
    name.is_some() && name == seen.known.runs_on
}

/// Whose Node it is that has a certain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// It has an address of the Machine, or the UUID of its hardware according to the BMC.
    Own,
    /// It has no address yet.
    Unknown,
    /// It has addresses, none of which is one of the Machine's, and no known UUID of its hardware.
    Another,
}

/// Whether the Node of its name is that of the Machine.
pub fn is_node_of(machine: &Machine, node: &Node) -> bool {
    ownership(machine, node) == Ownership::Own
}

/// Whose the Node of its name is. Its kubelet may use another network than the one that the machine boots
/// from, and have none of its addresses; then it is known by the UUID of the hardware that its BMC has told.
pub fn ownership(machine: &Machine, node: &Node) -> Ownership {
    let has = |ip: &str| {
        let leases = machine.spec.pxe.iter().flat_map(|pxe| &pxe.dhcp_leases);
        ip.parse::<Ipv4Addr>().is_ok_and(|ip| leases.filter_map(ipv4).any(|lease| lease == ip))
    };
    let addresses = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
    let mut internal = addresses.filter(|address| address.type_ == "InternalIP").peekable();
    if is_hardware_of(machine, node) {
        Ownership::Own
    } else if internal.peek().is_none() {
        Ownership::Unknown
    } else if internal.any(|address| has(&address.address)) {
        Ownership::Own
    } else {
        Ownership::Another
    }
}

/// Whether a Node was created before anything was known about its Machine: the status of the Machine was lost,
/// or the Node joined the cluster first.
pub(crate) fn is_older_than(node: &Node, status: Option<&MachineStatus>) -> bool {
    let operations = status.and_then(|status| status.operations.as_ref());
    let since = operations.and_then(|it| it.counted_since.as_ref());
    let made = node.metadata.creation_timestamp.as_ref();
    since.is_none_or(|since| made.is_none_or(|made| made.0 < since.0))
}

/// Whether the kubelet of a Node reports the same UUID as the BMC of a Machine.
fn is_hardware_of(machine: &Machine, node: &Node) -> bool {
    let info = node.status.as_ref().and_then(|status| status.node_info.as_ref());
    let told = info.and_then(|info| info.system_uuid.parse::<SystemUuid>().ok());
    told.is_some_and(|told| uuid_by_bmc(machine) == Some(told.canonical()))
}

/// Whether pods of a Node can be evicted: only a running kubelet terminates them.
pub(super) fn is_worth_draining(node: &Node) -> bool {
    is_ready(node)
}
