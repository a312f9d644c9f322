//! Processor packages, from `/proc/cpuinfo` and the kernel's topology.

use super::{Machine, Notes};
use crate::{root::Root, smbios::Processor};
use metal_api::inventory::Cpu;
use std::collections::{BTreeMap, BTreeSet};

const FOLDER: &str = "/sys/devices/system/cpu";

/// One section of `/proc/cpuinfo`.
type Section<'a> = BTreeMap<&'a str, &'a str>;

/// A package whose threads are being counted.
#[derive(Default)]
struct Package<'a> {
    threads: u32,
    cores: BTreeSet<i64>,
    first: Option<(u32, Section<'a>)>,
    nodes: BTreeSet<i64>,
}

/// The packages, sorted by number.
pub(super) fn collect(machine: &Machine, notes: &mut Notes) -> Vec<Cpu> {
    let root = &machine.root;
    let Some(text) = notes.ok(root.text("/proc/cpuinfo")) else { return Vec::new() };
    let node_of = node_of_each_thread(root);
    let mut packages: BTreeMap<i64, Package<'_>> = BTreeMap::new();
    for section in text.split("\n\n").map(section) {
        let Some(thread) = section.get("processor").and_then(|text| text.parse::<u32>().ok())
        else {
            continue;
        };
        let topology = |file: &str| root.number(&format!("{FOLDER}/cpu{thread}/topology/{file}"));
        // Virtual machines and ARM boards may report package number -1.
        let package = packages.entry(topology("physical_package_id").unwrap_or(0).max(0));
        let package = package.or_default();
        package.threads += 1;
        package.cores.insert(topology("core_id").unwrap_or_else(|| thread.into()));
        package.nodes.extend(node_of.get(&thread));
        package.first.get_or_insert((thread, section));
    }
    if packages.is_empty() {
        notes.note("/proc/cpuinfo has no processor".to_owned());
    }
    packages.into_iter().map(|(id, package)| cpu(root, id, package)).collect()
}

fn cpu(root: &Root, id: i64, package: Package<'_>) -> Cpu {
    let (thread, section) = package.first.unwrap_or_default();
    let field = |name: &str| section.get(name).map(|text| (*text).to_owned()).unwrap_or_default();
    let flags = section.get("flags").or_else(|| section.get("Features"));
    let khz: Option<u32> = root.number(&format!("{FOLDER}/cpu{thread}/cpufreq/cpuinfo_max_freq"));
    Cpu {
        id: Some(id),
        total_cores: u32::try_from(package.cores.len()).ok(),
        total_hardware_threads: Some(package.threads),
        vendor: match section.get("CPU implementer") {
            Some(implementer) => arm_vendor(implementer).to_owned(),
            None => field("vendor_id"),
        },
        model: field("model name"),
        capabilities: flags
            .map(|flags| flags.split(' ').map(str::to_owned).collect())
            .unwrap_or_default(),
        max_mhz: khz.map(|khz| khz / 1000),
        microcode: field("microcode"),
        numa_nodes: package.nodes.into_iter().collect(),
        ..Cpu::default()
    }
}

/// Adds what only SMBIOS knows, socket by socket: ARM has no model name in `/proc/cpuinfo`.
pub(super) fn complete(cpus: &mut [Cpu], sockets: &[Processor]) {
    if cpus.len() != sockets.len() {
        return;
    }
    for (cpu, socket) in cpus.iter_mut().zip(sockets) {
        if cpu.vendor.is_empty() {
            cpu.vendor.clone_from(&socket.manufacturer);
        }
        if cpu.model.is_empty() {
            cpu.model.clone_from(&socket.version);
        }
        if cpu.max_mhz.is_none() && socket.max_speed_mhz > 0 {
            cpu.max_mhz = Some(socket.max_speed_mhz.into());
        }
    }
}

fn section(text: &str) -> Section<'_> {
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.map(|(name, value)| (name.trim(), value.trim())).collect()
}

fn node_of_each_thread(root: &Root) -> BTreeMap<u32, i64> {
    let names = root.names("/sys/devices/system/node").unwrap_or_default();
    let ids = names.iter().filter_map(|name| name.strip_prefix("node")?.parse::<i64>().ok());
    ids.flat_map(|id| {
        let list = root.word(&format!("/sys/devices/system/node/node{id}/cpulist"));
        threads(&list.unwrap_or_default()).into_iter().map(move |thread| (thread, id))
    })
    .collect()
}

/// Parses the kernel's list format: `0-3,8-11`.
fn threads(list: &str) -> Vec<u32> {
    let range = |part: &str| {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        let (low, high) = (low.trim().parse().ok()?, high.trim().parse::<u32>().ok()?);
        // No machine has more threads: a larger number means a broken file.
        (high < 1 << 16).then_some(low..=high)
    };
    list.split(',').filter_map(range).flatten().collect()
}

/// Implementer codes of the main identification register (Arm ARM, MIDR_EL1).
fn arm_vendor(code: &str) -> &str {
    match code {
        "0x41" => "ARM",
        "0x43" => "Cavium",
        "0x46" => "Fujitsu",
        "0x48" => "HiSilicon",
        "0x4e" => "NVIDIA",
        "0x51" => "Qualcomm",
        "0x61" => "Apple",
        "0x6d" => "Microsoft",
        "0xc0" => "Ampere",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_list_form_is_read() {
        assert_eq!(threads("0-2,8"), [0, 1, 2, 8]);
        assert_eq!(threads(""), Vec::<u32>::new());
        assert_eq!(threads("3-1,x,0-4294967295"), Vec::<u32>::new());
    }

    #[test]
    fn sockets_complete_packages_only_one_to_one() {
        let socket =
            Processor { version: "Altra".into(), max_speed_mhz: 3000, ..Default::default() };
        let mut cpus = vec![Cpu { vendor: "ARM".into(), ..Cpu::default() }];
        complete(&mut cpus, &[socket.clone(), socket.clone()]);
        assert_eq!(cpus[0].model, "");
        complete(&mut cpus, &[socket]);
        let found = (cpus[0].vendor.as_str(), cpus[0].model.as_str(), cpus[0].max_mhz);
        assert_eq!(found, ("ARM", "Altra", Some(3000)));
    }
}
