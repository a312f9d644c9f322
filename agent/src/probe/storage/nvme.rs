//! NVMe drives that the kernel reaches by several controllers, or could (native multipath): their block
//! device belongs to a subsystem without hardware, which has a link to each controller.

use crate::root::Root;

/// The controllers of an NVMe drive, by number: folders of sysfs without links, as
/// `/sys/devices/pci0000:00/0000:01:00.0/nvme/nvme0`. A drive with one path that belongs to its controller
/// has that one.
pub fn nvme_controllers(root: &Root, disk: &str) -> Vec<String> {
    let device = format!("/sys/block/{disk}/device");
    let Some(own) = root.target(&device) else { return Vec::new() };
    let mut controllers: Vec<_> = root
        .names(&device)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|name| Some((number(&name)?, root.target(&format!("{device}/{name}"))?)))
        .collect();
    controllers.sort_unstable();
    let mut controllers: Vec<_> = controllers.into_iter().map(|(_, target)| target).collect();
    if controllers.is_empty() {
        controllers.push(own);
    }
    controllers
}

/// Where a drive is in the tree of devices: below its first controller. `device` is the resolved path of the
/// block device.
pub(super) fn place(root: &Root, device: String, name: &str) -> String {
    if !device.split('/').any(|part| part == "nvme-subsystem") {
        return device;
    }
    let controller = nvme_controllers(root, name).into_iter().next();
    controller.map_or(device, |controller| format!("{controller}/{name}"))
}

/// The number of a controller: `nvme12` is one, `nvme12n1` is a namespace.
fn number(name: &str) -> Option<u32> {
    name.strip_prefix("nvme")
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?
        .parse()
        .ok()
}
