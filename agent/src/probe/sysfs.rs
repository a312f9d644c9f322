//! Helpers for device folders of sysfs.

use crate::root::Root;

/// The address of the PCI function closest to a device, from the device's resolved path.
pub(super) fn pci_address(device: &str) -> Option<&str> {
    device.split('/').rev().find(|part| is_pci_address(part))
}

/// The path up to and including the PCI function closest to a device.
pub(super) fn pci_path(device: &str) -> Option<&str> {
    let address = pci_address(device)?;
    device.rfind(address).and_then(|start| device.get(..start + address.len()))
}

/// The NUMA node of the PCI function closest to a device; -1 if unknown.
pub(super) fn numa_node(root: &Root, device: &str) -> i64 {
    let path = pci_path(device).unwrap_or(device);
    root.number(&format!("{path}/numa_node")).unwrap_or(-1)
}

/// Domain, bus, device and function, for example `0000:3b:00.0`.
fn is_pci_address(part: &str) -> bool {
    let hex = |text: &str, widths: &[usize]| {
        widths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let mut fields = part.splitn(3, ':');
    let (Some(domain), Some(bus), Some(rest)) = (fields.next(), fields.next(), fields.next())
    else {
        return false;
    };
    rest.split_once('.').is_some_and(|(device, function)| {
        hex(domain, &[4, 5]) && hex(bus, &[2]) && hex(device, &[2]) && hex(function, &[1])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_pci_function_counts() {
        let nvme = "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/nvme/nvme0/nvme0n1";
        assert_eq!(pci_address(nvme), Some("0000:01:00.0"));
        let path = pci_path(nvme).unwrap();
        assert_eq!(path, "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0");
        assert_eq!(pci_address("/sys/devices/virtual/net/veth0"), None);
        assert_eq!(pci_address("/sys/devices/pci10000:e0/10000:e0:06.0"), Some("10000:e0:06.0"));
    }
}
