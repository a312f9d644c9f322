//! The Node that a machine is.

use super::super::{Observation, is_ready, lease::ipv4};
use k8s_openapi::api::core::v1::Node;
use metal_api::Machine;
use std::net::Ipv4Addr;

/// The Node of the Machine: it has its name and one of its addresses. A Node that only has the same
/// name is left alone, so that creating a Machine gives no power over other Nodes.
pub(super) fn node<'a>(seen: &Observation<'a>) -> Option<&'a Node> {
    seen.node.filter(|node| is_node_of(seen.machine, node))
}

/// Whose the Node of a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// It has an address of the Machine.
    Own,
    /// It has no address yet.
    Unknown,
    /// It has addresses, and none of the Machine.
    Another,
}

/// Whether the Node of its name has an address of the Machine.
pub fn is_node_of(machine: &Machine, node: &Node) -> bool {
    ownership(machine, node) == Ownership::Own
}

/// Whose the Node of its name is.
pub fn ownership(machine: &Machine, node: &Node) -> Ownership {
    let has = |ip: &str| {
        let leases = machine.spec.pxe.iter().flat_map(|pxe| &pxe.dhcp_leases);
        ip.parse::<Ipv4Addr>().is_ok_and(|ip| leases.filter_map(ipv4).any(|lease| lease == ip))
    };
    let addresses = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
    let mut internal = addresses.filter(|address| address.type_ == "InternalIP").peekable();
    if internal.peek().is_none() {
        Ownership::Unknown
    } else if internal.any(|address| has(&address.address)) {
        Ownership::Own
    } else {
        Ownership::Another
    }
}

/// Whether pods of a Node can be evicted: only a running kubelet terminates them.
pub(super) fn is_worth_draining(node: &Node) -> bool {
    is_ready(node)
}
