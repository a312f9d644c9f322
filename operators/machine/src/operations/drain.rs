//! Cordons and drains the Node of a machine before it is powered off.

use super::{
    super::Observation,
    CORDONED_FOR, Change, DRAIN, Decision, Need,
    own_node::{is_node_of, is_worth_draining, node},
    step,
};
use k8s_openapi::api::core::v1::{Node, Pod};
use metal_api::{MachineOperationStep, MachineStatus};

/// Annotation of static pods, which the kubelet manages itself.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Waits until the pods are gone, or the time limit is reached.
pub(super) fn drain(new: &mut MachineStatus, seen: &Observation<'_>) -> Option<Decision> {
    let is_over = seen.known.done.draining.is_some_and(|ago| ago >= DRAIN);
    let node = node(seen).filter(|node| is_worth_draining(node) && !is_over);
    if let Some(node) = node {
        if !is_unschedulable(node) {
            return Some(Decision::Change(Change::Cordon));
        }
        match seen.known.pods {
            None => return Some(Decision::Look(Need::Pods)),
            Some(0) => {}
            Some(_) => return Some(Decision::Change(Change::Evict)),
        }
    }
    step::go_to(new, seen, MachineOperationStep::PoweringOff);
    None
}

/// Uncordons a Node that was cordoned for an operation that has ended.
pub(super) fn uncordon(seen: &Observation<'_>) -> Option<Decision> {
    let node = seen.node?;
    let annotations = node.metadata.annotations.as_ref();
    let uid = annotations.and_then(|annotations| annotations.get(CORDONED_FOR));
    let is_for_it = uid.is_some() && uid == seen.machine.metadata.uid.as_ref();
    let is_ours = is_for_it || (is_cordoned_by_us(node) && is_node_of(seen.machine, node));
    is_ours.then_some(Decision::Change(Change::Uncordon))
}

/// Whether we have cordoned a Node; one that was cordoned by others stays cordoned.
pub fn is_cordoned_by_us(node: &Node) -> bool {
    let annotations = node.metadata.annotations.as_ref();
    annotations.is_some_and(|annotations| annotations.contains_key(CORDONED_FOR))
}

fn is_unschedulable(node: &Node) -> bool {
    node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true)
}

/// Whether a pod has to be evicted: not if it has ended, or would be recreated on the same Node.
pub fn is_to_be_evicted(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let mut owners = pod.metadata.owner_references.iter().flatten();
    let annotations = pod.metadata.annotations.as_ref();
    !(matches!(phase, Some("Succeeded" | "Failed"))
        || owners.any(|owner| owner.kind == "DaemonSet" && owner.controller == Some(true))
        || annotations.is_some_and(|annotations| annotations.contains_key(MIRROR)))
}
