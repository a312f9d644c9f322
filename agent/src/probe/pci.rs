//! PCI functions and their names.

use super::{Machine, Notes};
use metal_api::inventory::PciDevice;

const FOLDER: &str = "/sys/bus/pci/devices";

/// All functions, sorted by address. A machine without PCI has none.
pub(super) fn collect(machine: &Machine, notes: &mut Notes) -> Vec<PciDevice> {
    if !machine.root.has(FOLDER) {
        return Vec::new();
    }
    let names = notes.ok(machine.root.names(FOLDER)).unwrap_or_default();
    names.into_iter().map(|address| device(machine, address)).collect()
}

fn device(machine: &Machine, address: String) -> PciDevice {
    let root = &machine.root;
    let path = |file: &str| format!("{FOLDER}/{address}/{file}");
    let number = |file: &str| root.hex(&path(file)).and_then(|number| u16::try_from(number).ok());
    let text = |number: Option<u16>| number.map(|n| format!("{n:04x}")).unwrap_or_default();
    let (vendor, product, class) = (number("vendor"), number("device"), root.hex(&path("class")));
    let names = machine.pci_ids.names(vendor.unwrap_or(0xffff), product.unwrap_or(0xffff));
    let owned = |name: Option<&str>| name.unwrap_or_default().to_owned();
    PciDevice {
        vendor: owned(names.0),
        vendor_id: text(vendor),
        product: owned(names.1),
        product_id: text(product),
        numa_node_id: Some(root.number(&path("numa_node")).unwrap_or(-1)),
        class: owned(class.and_then(|class| machine.pci_ids.class(class))),
        class_id: class.map(|class| format!("{class:06x}")).unwrap_or_default(),
        subsystem_vendor_id: text(number("subsystem_vendor")),
        subsystem_id: text(number("subsystem_device")),
        revision: root.hex(&path("revision")).map(|r| format!("{r:02x}")).unwrap_or_default(),
        driver: root.target_name(&path("driver")).unwrap_or_default(),
        // Functions inside the chipset have no link: "Unknown" and 0 lanes.
        link_speed: root
            .word(&path("current_link_speed"))
            .filter(|speed| !speed.starts_with("Unknown"))
            .unwrap_or_default(),
        link_width: root.number(&path("current_link_width")).filter(|width| *width > 0),
        address,
        ..PciDevice::default()
    }
}
