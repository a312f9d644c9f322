use super::*;
use crate::fixture::{FIRECRACKER, Tree};

const SUBSYSTEM: &str = "/sys/devices/virtual/nvme-subsystem/nvme-subsys0";
const SLOT: &str = "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0";

/// A drive with the one port that its namespace may have shared with another, as of many a data center.
#[test]
fn a_drive_under_native_multipath_is_where_its_first_controller_is() {
    let tree = Tree::unpack(FIRECRACKER);
    for (file, content) in [
        ("nvme0n1/size", "8"),
        ("nvme0n1/wwid", "eui.0025388b91d0a3b2"),
        ("model", "SAMSUNG MZ"),
        ("serial", "S1"),
        ("firmware_rev", "EDA7"),
    ] {
        tree.write(&format!("{SUBSYSTEM}/{file}"), content.as_bytes());
    }
    tree.write(&format!("{SLOT}/numa_node"), b"1\n");
    tree.write(&format!("{SLOT}/nvme/nvme2/transport"), b"pcie\n");
    tree.write("/sys/devices/pci0000:80/0000:81:00.0/nvme/nvme10/transport", b"pcie\n");
    tree.link("/sys/block/nvme0n1", "../devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1");
    tree.link(&format!("{SUBSYSTEM}/nvme0n1/device"), "../../nvme-subsys0");
    for (name, slot) in
        [("nvme10", "pci0000:80/0000:81:00.0"), ("nvme2", &SLOT["/sys/devices/".len()..])]
    {
        tree.link(&format!("{SUBSYSTEM}/{name}"), &format!("../../../{slot}/nvme/{name}"));
    }
    let found = disks(&tree.root());
    let disk = found.iter().find(|disk| disk.name == "nvme0n1").unwrap();
    assert_eq!(disk.pci_address, "0000:01:00.0");
    assert_eq!(disk.path, "pci-0000:01:00.0-nvme-1");
    assert_eq!(disk.numa_node_id, Some(1));
    assert_eq!((&*disk.transport, &*disk.model, &*disk.serial), ("nvme", "SAMSUNG MZ", "S1"));
    let controllers = nvme_controllers(&tree.root(), "nvme0n1");
    assert_eq!(controllers[0], format!("{SLOT}/nvme/nvme2"));
    assert_eq!(controllers.len(), 2);
}

#[test]
fn a_drive_over_fabrics_is_on_no_bus_of_this_machine() {
    let tree = Tree::unpack(FIRECRACKER);
    tree.write(&format!("{SUBSYSTEM}/nvme0n1/size"), b"8");
    tree.write("/sys/devices/virtual/nvme-fabrics/ctl/nvme0/transport", b"tcp\n");
    tree.link("/sys/block/nvme0n1", "../devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1");
    tree.link(&format!("{SUBSYSTEM}/nvme0n1/device"), "../../nvme-subsys0");
    tree.link(&format!("{SUBSYSTEM}/nvme0"), "../../nvme-fabrics/ctl/nvme0");
    let found = disks(&tree.root());
    let disk = found.iter().find(|disk| disk.name == "nvme0n1").unwrap();
    assert_eq!((&*disk.pci_address, &*disk.path, disk.numa_node_id), ("", "unknown", Some(-1)));
}
