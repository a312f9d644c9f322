//! Network interfaces as the kernel sees them: addresses and carrier.

use super::{Machine, Notes, sysfs};
use crate::{kernel::Addresses, root::Root};
use metal_api::inventory::NetworkInterface;
use std::net::IpAddr;

pub(super) const FOLDER: &str = "/sys/class/net";
/// Interfaces that say nothing about the machine.
const IGNORED: [&str; 2] = ["tun", "docker0"];
/// Ethernet and InfiniBand (`ARPHRD_*`).
const TYPES: [u16; 2] = [1, 32];

/// All interfaces but loopback, sorted by name.
pub(super) fn collect(machine: &Machine, notes: &mut Notes) -> Vec<NetworkInterface> {
    let names = notes.ok(machine.root.names(FOLDER)).unwrap_or_default();
    let addresses = notes.ok(machine.kernel.addresses()).unwrap_or_default();
    let names = names.into_iter().filter(|name| {
        let kind = machine.root.number(&format!("{FOLDER}/{name}/type"));
        !IGNORED.iter().any(|prefix| name.starts_with(prefix))
            && kind.is_some_and(|kind| TYPES.contains(&kind))
    });
    names.map(|name| interface(&machine.root, name, &addresses)).collect()
}

fn interface(root: &Root, name: String, addresses: &Addresses) -> NetworkInterface {
    let path = |file: &str| format!("{FOLDER}/{name}/{file}");
    let device = root.target(&path("device")).unwrap_or_default();
    let pci = sysfs::pci_address(&device);
    NetworkInterface {
        ip_addresses: addresses.get(&name).into_iter().flatten().map(IpAddr::to_string).collect(),
        mac_address: root.word(&path("address")).unwrap_or_default(),
        carrier_status: if is_running(root, &name) { "up" } else { "down" }.to_owned(),
        mtu: root.number(&path("mtu")),
        speed_mbps: speed(root, &name),
        duplex: root.word(&path("duplex")).filter(|duplex| duplex != "unknown").unwrap_or_default(),
        driver: root.target_name(&path("device/driver")).unwrap_or_default(),
        pci_address: pci.unwrap_or_default().to_owned(),
        numa_node_id: pci.map(|_| sysfs::numa_node(root, &device)),
        name,
        ..NetworkInterface::default()
    }
}

/// Whether the link is up or about to be: for up to a second after the carrier appears, the kernel
/// still reports `down`.
fn is_running(root: &Root, name: &str) -> bool {
    let state = root.word(&format!("{FOLDER}/{name}/operstate")).unwrap_or_default();
    root.flag(&format!("{FOLDER}/{name}/carrier"))
        && !matches!(&*state, "dormant" | "lowerlayerdown" | "notpresent" | "testing")
}

/// Link speed in Mbit/s; `None` for links that are down or virtual.
pub(super) fn speed(root: &Root, name: &str) -> Option<u32> {
    root.number(&format!("{FOLDER}/{name}/speed")).filter(|speed| *speed > 0)
}
