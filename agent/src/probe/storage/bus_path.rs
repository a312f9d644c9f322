//! The path of a disk on its buses, in udev's form (`ID_PATH`), which survives a reboot.

use crate::{probe::sysfs, root::Root};

/// udev's value, or the same computed from sysfs; `unknown` for disks that are not on a PCI bus.
pub(super) fn of(root: &Root, device: &str, name: &str) -> String {
    from_udev(root, name).or_else(|| from_sysfs(device)).unwrap_or_else(|| "unknown".to_owned())
}

/// udev's database has one file per device number.
fn from_udev(root: &Root, name: &str) -> Option<String> {
    let number = root.word(&format!("/sys/block/{name}/dev"))?;
    let entry = root.text(&format!("/run/udev/data/b{number}")).ok()?;
    entry.lines().find_map(|line| line.strip_prefix("E:ID_PATH=")).map(str::to_owned)
}

fn from_sysfs(device: &str) -> Option<String> {
    let pci = sysfs::pci_address(device)?;
    let parts: Vec<&str> = device.split('/').collect();
    let numbered =
        |start: &str| parts.iter().find_map(|part| part.strip_prefix(start)?.parse::<u32>().ok());
    let scsi = parts.iter().rev().find(|part| part.split(':').count() == 4);
    let rest = if let Some(port) = numbered("ata") {
        Some(format!("ata-{port}"))
    } else if let Some(sas) = parts.iter().find_map(|part| part.strip_prefix("phy-")) {
        Some(format!("sas-phy{sas}"))
    } else if let Some(address) = scsi {
        Some(format!("scsi-{address}"))
    } else {
        nvme_namespace(parts.last()?).map(|namespace| format!("nvme-{namespace}"))
    };
    Some(rest.map_or_else(|| format!("pci-{pci}"), |rest| format!("pci-{pci}-{rest}")))
}

/// `nvme0n1` is namespace 1.
fn nvme_namespace(name: &str) -> Option<&str> {
    name.strip_prefix("nvme")?.split_once('n').map(|(_, namespace)| namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_attachment_has_udevs_form() {
        let table = [
            ("0000:00:1f.2/ata2/host2/target2:0:0/2:0:0:0/block/sdb", "pci-0000:00:1f.2-ata-2"),
            (
                "0000:00:03.0/virtio1/host0/target0:0:0/0:0:0:0/block/sda",
                "pci-0000:00:03.0-scsi-0:0:0:0",
            ),
            ("0000:01:00.0/nvme/nvme0/nvme0n1", "pci-0000:01:00.0-nvme-1"),
            ("0000:00:02.0/virtio0/block/vda", "pci-0000:00:02.0"),
        ];
        for (device, expected) in table {
            let device = format!("/sys/devices/pci0000:00/{device}");
            assert_eq!(from_sysfs(&device).as_deref(), Some(expected));
        }
        assert_eq!(from_sysfs("/sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1"), None);
    }
}
