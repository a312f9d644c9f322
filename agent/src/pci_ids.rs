//! Names of PCI vendors, devices and classes, from the database of the PCI ID project.
//!
//! The machine's own copy is preferred, because it is newer; otherwise the built-in one is used:
//! compressed, without subsystems (`agent/data/README.md`).

use crate::root::Root;
use miniz_oxide::inflate::decompress_to_vec_with_limit;

const EMBEDDED: &[u8] = include_bytes!("../data/pci.ids.gz");
/// Length of the gzip header that `gzip -n` writes.
const HEADER: usize = 10;
/// CRC and length after the compressed stream.
const TRAILER: usize = 8;
const LIMIT: usize = 4 << 20;
/// Where Debian's `pci.ids` and Fedora's `hwdata` install it.
const INSTALLED: [&str; 2] = ["/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids"];

/// The database as text, sorted by vendor.
#[derive(Debug)]
pub struct PciIds(String);

impl PciIds {
    /// Loads the machine's database, or the built-in one.
    pub fn load(root: &Root) -> Self {
        let installed = INSTALLED.iter().find_map(|path| root.word(path));
        Self(installed.unwrap_or_else(embedded))
    }

    /// The names of a vendor and its device, if known.
    pub fn names(&self, vendor: u16, device: u16) -> (Option<&str>, Option<&str>) {
        self.look_up(&format!("{vendor:04x}  "), &format!("{device:04x}  "))
    }

    /// The name of a class code (class, subclass, programming interface): that of its subclass if
    /// known, else of its class.
    pub fn class(&self, code: u32) -> Option<&str> {
        let [_, class, subclass, _] = code.to_be_bytes();
        let (class, subclass) =
            self.look_up(&format!("C {class:02x}  "), &format!("{subclass:02x}  "));
        subclass.or(class)
    }

    /// The name of `outer`, and that of `inner` within its entry. Entries are indented once, their
    /// own sub-entries twice.
    fn look_up(&self, outer: &str, inner: &str) -> (Option<&str>, Option<&str>) {
        let Some(section) = self.section(outer) else { return (None, None) };
        let mut lines = section.lines();
        let name = lines.next().and_then(|line| line.strip_prefix(outer)).map(str::trim);
        let mut members = lines.take_while(|line| line.is_empty() || line.starts_with(['\t', '#']));
        (name, members.find_map(|line| line.strip_prefix('\t')?.strip_prefix(inner)).map(str::trim))
    }

    fn section(&self, start: &str) -> Option<&str> {
        if self.0.starts_with(start) {
            return Some(&self.0);
        }
        self.0.find(&format!("\n{start}")).and_then(|offset| self.0.get(offset + 1..))
    }
}

fn embedded() -> String {
    let stream = EMBEDDED.get(HEADER..EMBEDDED.len() - TRAILER).unwrap_or_default();
    let text = decompress_to_vec_with_limit(stream, LIMIT).unwrap_or_default();
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_database_knows_vendors_and_devices() {
        let ids = PciIds::load(&Root::new("/nowhere"));
        let intel = (Some("Intel Corporation"), Some("82574L Gigabit Network Connection"));
        assert_eq!(ids.names(0x8086, 0x10d3), intel);
        assert_eq!(ids.names(0x15b3, 0x1017).0, Some("Mellanox Technologies"));
    }

    #[test]
    fn an_unknown_device_keeps_the_name_of_its_vendor() {
        let ids = PciIds(
            "1234  First\n\t0001  One\n\t\t0002 0003  Sub\n1235  Second\n\t0004  Four\n".into(),
        );
        assert_eq!(ids.names(0x1234, 0x0001), (Some("First"), Some("One")));
        assert_eq!(ids.names(0x1234, 0x0004), (Some("First"), None));
        assert_eq!(ids.names(0x1235, 0x0004), (Some("Second"), Some("Four")));
        assert_eq!(ids.names(0x9999, 0x0004), (None, None));
    }

    #[test]
    fn a_class_is_named_by_its_subclass_or_else_by_itself() {
        let ids = PciIds::load(&Root::new("/nowhere"));
        assert_eq!(ids.class(0x01_0802), Some("Non-Volatile memory controller"));
        assert_eq!(ids.class(0x02_7700), Some("Network controller"));
        assert_eq!(ids.class(0x77_0000), None);
    }

    #[test]
    fn the_database_of_the_machine_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("usr/share/misc")).unwrap();
        std::fs::write(dir.path().join("usr/share/misc/pci.ids"), "8086  Other\n").unwrap();
        assert_eq!(PciIds::load(&Root::new(dir.path())).names(0x8086, 1).0, Some("Other"));
    }
}
