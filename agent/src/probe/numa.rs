//! NUMA nodes.

use super::{Machine, Notes, memory::mem_total};
use crate::root::Root;
use metal_api::inventory::NumaNode;

const FOLDER: &str = "/sys/devices/system/node";

/// The nodes, sorted by number. A kernel without NUMA has none.
pub(super) fn collect(machine: &Machine, notes: &mut Notes) -> Vec<NumaNode> {
    let root = &machine.root;
    if !root.has(FOLDER) {
        return Vec::new();
    }
    let names = notes.ok(root.names(FOLDER)).unwrap_or_default();
    let mut ids: Vec<i64> =
        names.iter().filter_map(|name| name.strip_prefix("node")?.parse().ok()).collect();
    ids.sort_unstable();
    ids.into_iter().map(|id| node(root, id)).collect()
}

fn node(root: &Root, id: i64) -> NumaNode {
    let file = |name: &str| root.word(&format!("{FOLDER}/node{id}/{name}"));
    let distances = file("distance").unwrap_or_default();
    NumaNode {
        id: Some(id),
        cpus: file("cpulist").unwrap_or_default(),
        memory_bytes: file("meminfo").and_then(|text| mem_total(&text)),
        distances: distances.split_whitespace().filter_map(|part| part.parse().ok()).collect(),
        ..NumaNode::default()
    }
}
