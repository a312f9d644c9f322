//! Block devices.

mod bus_path;
mod nvme;
#[cfg(test)]
mod tests;

pub use nvme::nvme_controllers;

use super::{Machine, Notes, sysfs};
use crate::root::Root;
use metal_api::inventory::BlockDevice;

const FOLDER: &str = "/sys/block";
/// Devices without hardware of their own.
const VIRTUAL: [&str; 8] = ["loop", "ram", "zram", "dm-", "md", "nbd", "drbd", "rbd"];
/// The kernel's unit for sizes, whatever the device's sector size.
const SECTOR: u64 = 512;

/// All disks, sorted by name. Drives without a medium are left out.
pub(super) fn collect(machine: &Machine, notes: &mut Notes) -> Vec<BlockDevice> {
    let mut disks = all(&machine.root, notes);
    for disk in &mut disks {
        disk.vendor = vendor_name(machine, std::mem::take(&mut disk.vendor));
    }
    disks
}

/// All disks, sorted by name, with numbers where vendors have no name. Drives without a medium are left
/// out, and so is what cannot be read.
pub fn disks(root: &Root) -> Vec<BlockDevice> {
    all(root, &mut Notes::default())
}

fn all(root: &Root, notes: &mut Notes) -> Vec<BlockDevice> {
    let names = notes.ok(root.names(FOLDER)).unwrap_or_default();
    let names = names.into_iter().filter(|name| {
        // The paths of a multipath NVMe namespace are hidden behind the namespace.
        !VIRTUAL.iter().any(|prefix| name.starts_with(prefix))
            && !root.flag(&format!("{FOLDER}/{name}/hidden"))
    });
    names.filter_map(|name| disk(root, name, notes)).collect()
}

fn disk(root: &Root, name: String, notes: &mut Notes) -> Option<BlockDevice> {
    let path = |file: &str| format!("{FOLDER}/{name}/{file}");
    let Some(sectors) = root.number::<u64>(&path("size")) else {
        notes.note(format!("{} is missing or not a number", path("size")));
        return None;
    };
    if sectors == 0 {
        return None;
    }
    let word = |file: &str| root.word(&path(file));
    let device = root.target(&format!("{FOLDER}/{name}")).unwrap_or_default();
    let device = nvme::place(root, device, &name);
    let transport = transport(root, &device, &name);
    Some(BlockDevice {
        path: bus_path::of(root, &device, &name),
        rotational: Some(root.flag(&path("queue/rotational"))),
        removable: Some(root.flag(&path("removable"))),
        read_only: Some(root.flag(&path("ro"))),
        vendor: word("device/vendor").unwrap_or_default(),
        model: word("device/model").unwrap_or_default(),
        serial: serial(root, &name).unwrap_or_default(),
        wwid: word("wwid")
            .or_else(|| word("device/wwid"))
            .map(|text| one_space(&text))
            .unwrap_or_default(),
        physical_block_size: root.number(&path("queue/physical_block_size")),
        logical_block_size: root.number(&path("queue/logical_block_size")),
        hw_sector_size: root.number(&path("queue/hw_sector_size")),
        size_bytes: sectors.checked_mul(SECTOR),
        numa_node_id: Some(sysfs::numa_node(root, &device)),
        transport: transport.to_owned(),
        firmware_version: word("device/firmware_rev")
            .or_else(|| word("device/rev"))
            .unwrap_or_default(),
        pci_address: sysfs::pci_address(&device).unwrap_or_default().to_owned(),
        name,
        ..BlockDevice::default()
    })
}

/// Virtio has a PCI vendor ID where SCSI has a name.
fn vendor_name(machine: &Machine, vendor: String) -> String {
    let number = vendor.strip_prefix("0x").and_then(|hex| u16::from_str_radix(hex, 16).ok());
    let name = number.and_then(|number| machine.pci_ids.names(number, 0).0);
    name.map(str::to_owned).unwrap_or(vendor)
}

/// NVMe and virtio have a file; SCSI has page 0x80 of the vital product data: a header of four
/// bytes, then the number (SPC-4, 7.8.15).
fn serial(root: &Root, name: &str) -> Option<String> {
    let word = |file: &str| root.word(&format!("{FOLDER}/{name}/{file}"));
    word("device/serial").or_else(|| word("serial")).or_else(|| {
        let page = root.bytes(&format!("{FOLDER}/{name}/device/vpd_pg80")).ok()?;
        let length = usize::from(u16::from_be_bytes([*page.get(2)?, *page.get(3)?]));
        let number = page.get(4..)?.get(..length.min(page.len() - 4))?;
        let text = String::from_utf8_lossy(number);
        Some(text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned())
    })
}

/// The bus that a disk is attached to, from names in the device's path.
fn transport(root: &Root, device: &str, name: &str) -> &'static str {
    let has = |start: &str| device.split('/').any(|part| part.starts_with(start));
    let numbered = |start: &str| {
        device.split('/').any(|part| {
            part.strip_prefix(start)
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        })
    };
    if name.starts_with("nvme") {
        return "nvme";
    }
    match () {
        () if numbered("usb") => "usb",
        () if numbered("ata") => "sata",
        () if has("end_device-") || root.has(&format!("{FOLDER}/{name}/device/sas_address")) => {
            "sas"
        }
        () if has("rport-") => "fc",
        () if has("session") => "iscsi",
        () if numbered("virtio") => "virtio",
        () if name.starts_with("mmcblk") => "mmc",
        () => "",
    }
}

/// ATA pads the parts of its identifiers with spaces.
fn one_space(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
