//! What an installer may say of a machine that a person switches.
//!
//! With a BMC the host was off before its installer is listened to. Without, nobody knows whether it has
//! booted at all: pods of its old system have its address, can read the token where the installer reads it,
//! and may say whatever an installer says. While they run, their Node is ready.

use super::{
    super::is_ready,
    own_node::{Ownership, ownership},
    progress::writing_since,
};
use k8s_openapi::api::core::v1::Node;
use metal_api::Machine;

/// Whether who says how far an installation is may be its installer; `node` is the Node of that name.
pub fn may_report(machine: &Machine, node: Option<&Node>) -> bool {
    has_bmc(machine) || !node.is_some_and(|node| is_at_work(machine, node))
}

/// Whether who says that an installation is done may be its installer. One that has written to the disk, as it
/// has said, may have restarted the machine by now.
pub fn may_end(machine: &Machine, node: Option<&Node>) -> bool {
    let operations = machine.status.as_ref().and_then(|status| status.operations.as_ref());
    let has_written = operations.is_some_and(|it| writing_since(it.by_hand.as_ref()).is_some());
    has_written || may_report(machine, node)
}

fn has_bmc(machine: &Machine) -> bool {
    machine.spec.pxe.as_ref().is_some_and(|pxe| pxe.redfish.is_some())
}

fn is_at_work(machine: &Machine, node: &Node) -> bool {
    is_ready(node) && ownership(machine, node) != Ownership::Another
}
