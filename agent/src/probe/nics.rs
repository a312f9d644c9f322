//! Network adapters: the hardware behind the interfaces.

use super::{
    Machine, Notes,
    network::{FOLDER, speed},
    sysfs,
};
use metal_api::inventory::Nic;

/// All interfaces with a device behind them, sorted by name.
pub(super) fn collect(machine: &Machine, notes: &mut Notes) -> Vec<Nic> {
    let names = notes.ok(machine.root.names(FOLDER)).unwrap_or_default();
    let names = names.into_iter().filter_map(|name| {
        let device = machine.root.target(&format!("{FOLDER}/{name}/device"))?;
        Some((name, device))
    });
    names.map(|(name, device)| nic(machine, notes, name, &device)).collect()
}

fn nic(machine: &Machine, notes: &mut Notes, name: String, device: &str) -> Nic {
    let root = &machine.root;
    let path = |file: &str| format!("{FOLDER}/{name}/{file}");
    let pci = sysfs::pci_address(device);
    let index = root.number(&path("ifindex")).unwrap_or(0);
    let facts = notes.ok(machine.kernel.link_facts(&name, index, pci)).unwrap_or_default();
    let address = || root.word(&path("address")).unwrap_or_default();
    Nic {
        mac: facts.permanent_address.unwrap_or_else(address),
        pci_address: pci.unwrap_or("unknown").to_owned(),
        speed: speed(root, &name).map(|speed| format!("{speed}Mb/s")).unwrap_or_default(),
        link_modes: facts.modes.modes,
        supported_ports: facts.modes.ports,
        firmware_version: facts
            .firmware
            .or_else(|| infiniband(machine, device))
            .unwrap_or_default(),
        driver: root.target_name(&path("device/driver")).unwrap_or_default(),
        numa_node_id: Some(sysfs::numa_node(root, device)),
        name,
        ..Nic::default()
    }
}

/// Adapters that also support InfiniBand or RoCE have the version in a file.
fn infiniband(machine: &Machine, device: &str) -> Option<String> {
    let folder = format!("{device}/infiniband");
    let names = machine.root.names(&folder).ok()?;
    machine.root.word(&format!("{folder}/{}/fw_ver", names.first()?))
}
