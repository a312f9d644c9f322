//! What an installer may say of a machine on which the old system may still run.
//!
//! Where a person switches it, nobody knows whether it has booted at all. With a BMC it was off, but its
//! firmware may have booted its disk again. Pods of the old system have its address, can read the token where the
//! installer reads it, and may say whatever an installer says. While they run, their Node is ready. With a BMC
//! the installer is believed once it has fetched what installs, since the Node was deleted before: one that is
//! ready may be held by a finalizer. That does not keep out who fetches the same on purpose.

use super::{
    super::is_ready,
    own_node::{Ownership, ownership},
    progress::{is_heard, writing_since},
};
use k8s_openapi::api::core::v1::Node;
use metal_api::Machine;

/// Whether a progress report may come from the machine's installer; `node` is the Node of that name.
pub fn may_report(machine: &Machine, node: Option<&Node>) -> bool {
    (has_bmc(machine) && is_heard(machine)) || !node.is_some_and(|node| is_at_work(machine, node))
}

/// Whether a report that an installation is done may come from the machine's installer. One that has reported
/// that it writes to the disk may have restarted the machine already.
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
