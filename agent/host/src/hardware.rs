//! The identity of this machine, as it reports it.

use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// How many MAC addresses are reported.
const MACS: usize = 64;
/// Digits and colons of a MAC address, and the one of loopback.
const LENGTH: usize = 17;
const NONE: &str = "00:00:00:00:00:00";
/// What the kernel calls the address that a port of a bond had before.
const PERMANENT: &str = "Permanent HW addr:";

/// Serial number, UUID, and the MAC addresses of its network cards: those in use, and the permanent ones, one of
/// which it was booted by. `root` is `/`.
pub(crate) fn told(root: &Path) -> Value {
    let dmi = |name: &str| {
        let text = fs::read_to_string(root.join("sys/class/dmi/id").join(name)).ok();
        text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    // Permanent addresses first, as the list may be cut off.
    let macs = bonded(root).into_iter().chain(used(root));
    let mut seen = BTreeSet::new();
    let macs = macs.filter(|mac| seen.insert(mac.clone())).take(MACS).collect::<Vec<_>>();
    let (serial, uuid) = (dmi("product_serial"), dmi("product_uuid"));
    json!({ "serial": serial, "systemUUID": uuid, "macAddresses": macs })
}

/// Addresses that network cards use. In a bond, all ports have the same address.
fn used(root: &Path) -> BTreeSet<String> {
    // Only hardware has a device.
    let cards = entries(&root.join("sys/class/net")).filter(|it| it.join("device").exists());
    cards.filter_map(|it| mac(&fs::read_to_string(it.join("address")).ok()?)).collect()
}

/// Addresses that the ports of bonds had before.
fn bonded(root: &Path) -> BTreeSet<String> {
    let bonds = entries(&root.join("proc/net/bonding"));
    let texts = bonds.filter_map(|it| fs::read_to_string(it).ok());
    let macs = texts.flat_map(|text| {
        let lines = text.lines().filter_map(|line| mac(line.trim().strip_prefix(PERMANENT)?));
        lines.collect::<Vec<_>>()
    });
    macs.collect()
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|it| it.path())
}

fn mac(text: &str) -> Option<String> {
    let mac = text.trim().to_ascii_lowercase();
    (mac.len() == LENGTH && mac != NONE).then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_with_a_bond_is_known_by_the_permanent_addresses_of_its_ports() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        // Both ports have the address of the first.
        for card in ["eno1", "eno2"] {
            write(&format!("sys/class/net/{card}/address"), "02:00:00:00:00:01\n");
            write(&format!("sys/class/net/{card}/device/vendor"), "0x8086\n");
        }
        write("sys/class/net/lo/address", "00:00:00:00:00:00\n");
        write("sys/class/net/bond0/address", "02:00:00:00:00:01\n");
        write("sys/class/dmi/id/product_serial", "SN-1\n");
        let bond = "Ethernet Channel Bonding Driver: v6.1\n\nBonding Mode: IEEE 802.3ad\n\n\
            Slave Interface: eno1\nMII Status: up\nPermanent HW addr: 02:00:00:00:00:01\n\n\
            Slave Interface: eno2\nMII Status: up\nPermanent HW addr: 02:00:00:00:00:02\n";
        write("proc/net/bonding/bond0", bond);
        let told = told(folder.path());
        assert_eq!(told["macAddresses"], json!(["02:00:00:00:00:01", "02:00:00:00:00:02"]));
        assert_eq!((&told["serial"], &told["systemUUID"]), (&json!("SN-1"), &Value::Null));
    }
}
