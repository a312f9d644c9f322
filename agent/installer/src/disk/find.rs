//! The disks of the machine, as the kernel shows them.

use metalprobe::{Root, disks, nvme_controllers};

/// A disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The kernel's name of it.
    pub(crate) name: String,
    /// Serial number; may be empty.
    pub(crate) serial: String,
    /// World Wide Name; may be empty.
    pub(crate) wwn: String,
    /// Model; may be empty.
    pub(crate) model: String,
    /// Bytes.
    pub(crate) size: u64,
    /// Bytes of a sector.
    pub(crate) sector: u64,
    /// Whether it has rotating platters.
    pub(crate) is_rotational: bool,
    /// Whether its medium is removable.
    pub(crate) is_removable: bool,
    /// Whether it is read-only.
    pub(crate) is_read_only: bool,
    /// The bus that it is attached to; empty if unknown.
    pub(crate) transport: String,
    /// Whether it is local, or on a network.
    pub(crate) reach: Reach,
    /// The mount or device that uses it, if any.
    pub(crate) in_use: Option<String>,
}

/// Where a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// In this machine, or attached to it alone.
    Local,
    /// On a network: others may use it as well.
    Network,
}

/// Every disk that is hardware, and has a medium.
pub(crate) fn candidates(root: &Root) -> Vec<Candidate> {
    let mounted = root.text("/proc/self/mountinfo").unwrap_or_default();
    disks(root)
        .into_iter()
        .map(|disk| Candidate {
            in_use: user(root, &disk.name, &mounted),
            size: disk.size_bytes.unwrap_or(0),
            sector: disk.logical_block_size.unwrap_or(512),
            is_rotational: disk.rotational.unwrap_or(false),
            is_removable: disk.removable.unwrap_or(false) || is_card(root, &disk.name),
            is_read_only: disk.read_only.unwrap_or(false),
            reach: reach(root, &disk.name, &disk.transport),
            transport: disk.transport,
            serial: disk.serial,
            wwn: disk.wwid,
            model: disk.model,
            name: disk.name,
        })
        .collect()
}

/// Whether it is an SD card: the kernel does not call its medium removable. An eMMC is of the type MMC.
fn is_card(root: &Root, disk: &str) -> bool {
    let kind = root.word(&format!("/sys/block/{disk}/device/type"));
    disk.starts_with("mmcblk") && kind.is_some_and(|kind| kind.starts_with("SD"))
}

/// How a disk is reached. Of NVMe the controllers say that; a disk with several paths has
/// several of them.
fn reach(root: &Root, disk: &str, transport: &str) -> Reach {
    let is_far = match transport {
        "fc" | "iscsi" => true,
        "nvme" => is_over_fabrics(root, disk),
        _ => false,
    };
    if is_far { Reach::Network } else { Reach::Local }
}

fn is_over_fabrics(root: &Root, disk: &str) -> bool {
    let controllers = nvme_controllers(root, disk).into_iter();
    let mut transports = controllers.filter_map(|path| root.word(&format!("{path}/transport")));
    transports.any(|transport| transport != "pcie")
}

/// What uses a disk or one of its partitions: a mount, or another block device.
fn user(root: &Root, disk: &str, mounted: &str) -> Option<String> {
    let folder = format!("/sys/block/{disk}");
    let parts = root.folders(&folder).into_iter();
    let parts = parts.filter(|part| root.has(&format!("{folder}/{part}/partition")));
    let all = [(disk.to_owned(), folder.clone())].into_iter();
    let all = all.chain(parts.map(|part| (part.clone(), format!("{folder}/{part}"))));
    all.into_iter().find_map(|(name, path)| {
        let holders = root.names(&format!("{path}/holders")).unwrap_or_default();
        if let Some(holder) = holders.first() {
            return Some(format!("{name} is part of {holder}"));
        }
        let number = root.word(&format!("{path}/dev"))?;
        // The third field is major:minor (proc(5)).
        let is_there = |line: &str| line.split_whitespace().nth(2) == Some(number.as_str());
        mounted.lines().any(is_there).then(|| format!("{name} is mounted"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink};
    use tempfile::TempDir;

    #[test]
    fn disks_are_described_as_the_kernel_does() {
        let machine = Machine::new();
        machine.disk(
            "vda",
            &[
                ("size", "409600"),
                ("serial", "SN 1"),
                ("queue/rotational", "1"),
                ("queue/logical_block_size", "4096"),
            ],
        );
        machine.disk("loop0", &[("size", "8")]);
        machine.disk("sr0", &[("size", "0")]);
        let found = candidates(&machine.root());
        let [disk] = &found[..] else { panic!("{found:?}") };
        assert_eq!(
            (&*disk.name, &*disk.serial, disk.size, disk.sector),
            ("vda", "SN 1", 200 << 20, 4096)
        );
        assert!(disk.is_rotational && !disk.is_removable && !disk.is_read_only);
        assert_eq!(disk.in_use, None);
    }

    #[test]
    fn an_sd_card_is_removable_and_an_emmc_is_not() {
        for (kind, expected) in [("SD\n", true), ("SDIO", true), ("MMC\n", false), ("", false)] {
            let machine = Machine::new();
            machine.disk("mmcblk0", &[("size", "8"), ("removable", "0"), ("device/type", kind)]);
            // Of SCSI this is a number.
            machine.disk("sda", &[("size", "8"), ("device/type", "0")]);
            let found = candidates(&machine.root());
            let removable: Vec<_> = found.iter().map(|disk| disk.is_removable).collect();
            assert_eq!(removable, [expected, false], "{kind}");
        }
    }

    #[test]
    fn a_disk_is_in_use_where_it_or_a_part_of_it_is_mounted_or_held() {
        for (file, content, mount, expected) in [
            ("holders/dm-0", "", "", "vda is part of dm-0"),
            ("vda1/holders/md0", "", "", "vda1 is part of md0"),
            ("x", "", "21 1 252:0 / /mnt rw - ext4 /dev/vda rw\n", "vda is mounted"),
            (
                "x",
                "",
                "20 1 0:5 / / rw - tmpfs x rw\n22 1 252:1 / /mnt rw - ext4 /dev/vda1 rw\n",
                "vda1 is mounted",
            ),
        ] {
            let machine = Machine::new();
            machine.disk(
                "vda",
                &[
                    ("size", "8"),
                    ("dev", "252:0"),
                    ("vda1/partition", "1"),
                    ("vda1/dev", "252:1"),
                    (file, content),
                ],
            );
            machine.write("/proc/self/mountinfo", mount);
            assert_eq!(candidates(&machine.root())[0].in_use.as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_disk_on_a_network_is_told_by_its_bus_or_by_its_controllers() {
        for (transports, is_multipath, expected) in [
            (&["pcie"][..], false, false),
            (&["tcp"], false, true),
            (&["pcie", "pcie"], true, false),
            (&["pcie", "rdma"], true, true),
            (&["tcp"], true, true),
            (&[], false, false),
        ] {
            let machine = Machine::new();
            machine.nvme(transports, is_multipath);
            let found = candidates(&machine.root())[0].reach;
            assert_eq!(found == Reach::Network, expected, "{transports:?} {is_multipath}");
        }
        let root = Machine::new().root();
        let buses = ["fc", "iscsi", "sas", "sata", "virtio", ""];
        let found = buses.map(|transport| reach(&root, "sda", transport) == Reach::Network);
        assert_eq!(found, [true, true, false, false, false, false]);
    }

    struct Machine(TempDir);

    impl Machine {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn disk(&self, name: &str, files: &[(&str, &str)]) {
            for (file, content) in files {
                self.write(&format!("/sys/block/{name}/{file}"), content);
            }
        }

        /// A drive whose controllers have these transports, as sysfs shows it.
        fn nvme(&self, transports: &[&str], is_multipath: bool) {
            self.disk("nvme0n1", &[("size", "8")]);
            for (number, transport) in transports.iter().enumerate() {
                self.write(&format!("/sys/devices/ctl/nvme{number}/transport"), transport);
            }
            let subsystem = "/sys/devices/virtual/nvme-subsystem/nvme-subsys0";
            self.write(&format!("{subsystem}/nvme0n1/size"), "8");
            if is_multipath {
                for number in 0..transports.len() {
                    let to = format!("../../../ctl/nvme{number}");
                    self.link(&format!("{subsystem}/nvme{number}"), &to);
                }
                self.link("/sys/block/nvme0n1/device", &format!("../../..{subsystem}"));
            } else {
                self.link("/sys/block/nvme0n1/device", "../../devices/ctl/nvme0");
            }
        }

        fn link(&self, path: &str, target: &str) {
            symlink(target, self.0.path().join(path.trim_start_matches('/'))).unwrap();
        }

        fn write(&self, path: &str, content: &str) {
            let path = self.0.path().join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }

        fn root(&self) -> Root {
            Root::new(self.0.path())
        }
    }
}
