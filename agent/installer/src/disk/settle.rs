//! Waits until the kernel has found all disks of the machine: it may find one of two a moment later.
//!
//! A disk that is named by its serial number or World Wide Name is the right one as soon as it shows; until then,
//! and for a while, a controller may still find it. Without a name, the only disk may be a data disk while a
//! controller still looks for the one with the system; so nothing is chosen before every controller has a driver and
//! has been quiet for a while, nor beside a disk that does not say how large it is.

use super::{Candidate, ChoiceError, candidates, choose::fits};
use crate::timeouts::Timeouts;
use metal_api::installation::InstallHints;
use metalprobe::Root;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often to look.
const LOOK: Duration = Duration::from_millis(50);
const FUNCTIONS: &str = "/sys/bus/pci/devices";
const MODULES: &str = "/sys/module";
/// Base class of mass storage controllers (PCI Code and ID Assignment, section 1.2).
const STORAGE: u32 = 0x01;
/// That of IDE. Chipsets and remote management have such functions at which there is no disk, and for which an
/// image has no driver.
const IDE: u32 = 0x0101;
/// That of SATA. A virtual machine has one in its chipset at which there is no disk, and a kernel for
/// virtual machines has no driver for it. On hardware a disk may be there.
const SATA: u32 = 0x0106;
const PROCESSORS: &str = "/proc/cpuinfo";
const VENDOR: &str = "/sys/class/dmi/id/sys_vendor";
/// Manufacturers of virtual machines, for processors without a flag for that (arm64).
const HYPERVISORS: [&str; 5] =
    ["QEMU", "KVM", "Red Hat", "VMware, Inc.", "Parallels International GmbH."];
/// NVMe controllers. Their driver has them long before they are ready: one that was not shut down may take a minute.
const NVME: &str = "/sys/class/nvme";
const DISKS: &str = "/sys/block";
/// Folders in the path of a device that is not in this machine, or may have no medium: USB, Fibre Channel, iSCSI.
const ELSEWHERE: [&str; 3] = ["/usb", "/rport-", "/session"];
/// What a kernel calls the threads that look for SCSI disks.
const SCAN: &str = "scsi_scan_";

/// The disks, once none has appeared for a while and, unless one that is named is there, nothing is looking for others.
///
/// # Errors
///
/// If a controller is not ready for minutes, and no disk is named.
pub(crate) async fn settled(
    root: &Root,
    hints: &InstallHints,
    timeouts: &Timeouts,
) -> Result<Vec<Candidate>, ChoiceError> {
    let is_named = hints.name_a_disk();
    let began = Instant::now();
    let (mut disks, mut since) = (candidates(root), began);
    loop {
        let is_there = is_named && disks.iter().any(|disk| fits(disk, hints));
        let (quiet, longest) = match (is_named, is_there) {
            (true, true) => timeouts.settled,
            (true, false) => (timeouts.unnamed.0, timeouts.settled.1),
            (false, _) => timeouts.unnamed,
        };
        let busy = if is_there { None } else { pending(root) };
        if busy.is_none() && since.elapsed() >= quiet {
            return Ok(disks);
        }
        if began.elapsed() >= longest {
            let unknown = busy.filter(|_| !is_named);
            return unknown.map_or(Ok(disks), |what| Err(ChoiceError::StillLooking(what)));
        }
        sleep(LOOK).await;
        let now = candidates(root);
        if now != disks || busy.is_some() {
            (disks, since) = (now, Instant::now());
        }
    }
}

/// What may still find disks.
fn pending(root: &Root) -> Option<String> {
    let disks = || scan(root).or_else(|| nvme(root)).or_else(|| sizeless(root));
    controller(root).or_else(|| module(root)).or_else(disks)
}

/// Whether this is a virtual machine, according to its processor or, if that does not tell, its firmware.
fn is_virtual(root: &Root) -> bool {
    let processors = root.text(PROCESSORS).unwrap_or_default();
    let mut flags = processors.lines().filter(|line| line.starts_with("flags"));
    let vendor = root.text(VENDOR).unwrap_or_default();
    flags.any(|line| line.split_whitespace().any(|flag| flag == "hypervisor"))
        || HYPERVISORS.contains(&vendor.trim())
}

/// A storage controller without a driver that may have a disk.
fn controller(root: &Root) -> Option<String> {
    let functions = root.names(FUNCTIONS).unwrap_or_default();
    let is_virtual = is_virtual(root);
    let waits = |address: &String| {
        let folder = format!("{FUNCTIONS}/{address}");
        let class = root.hex(&format!("{folder}/class"));
        let is_waited_for = |class: u32| match class >> 8 {
            IDE => false,
            SATA => !is_virtual,
            other => other >> 8 == STORAGE,
        };
        class.is_some_and(is_waited_for) && !root.has(&format!("{folder}/driver"))
    };
    let address = functions.into_iter().find(waits)?;
    Some(format!("the storage controller {address} has no driver"))
}

/// A driver that is still probing its devices.
fn module(root: &Root) -> Option<String> {
    let modules = root.names(MODULES).unwrap_or_default();
    let is_coming = |name: &String| {
        root.word(&format!("{MODULES}/{name}/initstate")).as_deref() == Some("coming")
    };
    let name = modules.into_iter().find(is_coming)?;
    Some(format!("the driver {name} still looks for devices"))
}

/// An NVMe controller that has no namespaces yet, or none any more.
fn nvme(root: &Root) -> Option<String> {
    let controllers = root.names(NVME).unwrap_or_default();
    controllers.into_iter().find_map(|name| {
        let state = root.word(&format!("{NVME}/{name}/state"))?;
        (state != "live").then(|| format!("the NVMe controller {name} is {state}, not ready"))
    })
}

/// A SCSI disk of this machine that does not say how large it is: it has failed, or is not ready.
fn sizeless(root: &Root) -> Option<String> {
    let disks = root.names(DISKS).unwrap_or_default();
    let is_it = |name: &String| {
        let folder = format!("{DISKS}/{name}");
        let device = root.target(&folder).unwrap_or_default();
        name.starts_with("sd")
            && root.number::<u64>(&format!("{folder}/size")) == Some(0)
            && !root.flag(&format!("{folder}/removable"))
            && !ELSEWHERE.iter().any(|it| device.contains(*it))
    };
    let name = disks.into_iter().find(is_it)?;
    Some(format!("the disk {name} does not say how large it is, as one that has failed"))
}

/// A host that is scanned.
fn scan(root: &Root) -> Option<String> {
    let processes = root.names("/proc").unwrap_or_default().into_iter();
    let mut processes = processes.filter(|name| name.bytes().all(|it| it.is_ascii_digit()));
    let thread = processes.find_map(|id| {
        root.word(&format!("/proc/{id}/comm")).filter(|name| name.starts_with(SCAN))
    })?;
    Some(format!("{thread} still looks for disks"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeouts::QUICK;
    use std::{fs, path::PathBuf};
    use tempfile::TempDir;

    const ANY: InstallHints = InstallHints {
        serial: None,
        wwn: None,
        min_size_gib: None,
        max_size_gib: None,
        rotational: None,
    };

    #[tokio::test]
    async fn a_disk_that_comes_late_counts() {
        let machine = Machine::with_disk("vda");
        let late = async {
            sleep(LOOK).await;
            machine.plug_in("vdb");
        };
        // Quiet for long, as this machine may be slow.
        let quiet = Duration::from_secs(3);
        let timeouts = Timeouts { unnamed: (quiet, 10 * quiet), ..QUICK };
        let root = machine.root();
        let (disks, ()) = tokio::join!(settled(&root, &ANY, &timeouts), late);
        assert_eq!(disks.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn a_disk_behind_a_controller_that_still_scans_is_waited_for() {
        for (what, busy, content, ready) in [
            ("no driver", format!("{FUNCTIONS}/0000:01:00.0/class"), "0x010700", Some("driver")),
            ("a module", format!("{MODULES}/mpt3sas/initstate"), "coming", None),
            ("a thread", "/proc/77/comm".to_owned(), "scsi_scan_0", None),
            ("NVMe", format!("{NVME}/nvme0/state"), "connecting", None),
        ] {
            let machine = Machine::with_disk("vda");
            machine.write(&busy, content);
            let late = async {
                sleep(QUICK.unnamed.0 * 2).await;
                machine.plug_in("vdb");
                match ready {
                    Some(file) => {
                        let folder = machine.path(&busy).parent().unwrap().join(file);
                        fs::create_dir(folder).unwrap();
                    }
                    None => machine.write(&busy, "live"),
                }
            };
            let root = machine.root();
            let (disks, ()) = tokio::join!(settled(&root, &ANY, &QUICK), late);
            assert_eq!(disks.unwrap().len(), 2, "{what}");
        }
    }

    #[tokio::test]
    async fn a_disk_that_is_named_is_waited_for_while_a_controller_may_find_it() {
        let machine = Machine::with_disk("vda");
        let busy = format!("{NVME}/nvme0/state");
        machine.write(&busy, "connecting");
        let late = async {
            sleep(QUICK.settled.0 * 2).await;
            machine.write("/sys/block/vdb/serial", "SN");
            machine.plug_in("vdb");
        };
        let named = InstallHints { serial: Some("SN".to_owned()), ..ANY };
        let root = machine.root();
        let (disks, ()) = tokio::join!(settled(&root, &named, &QUICK), late);
        // The controller is still not ready, which does not matter any more.
        assert_eq!(disks.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn without_a_name_nothing_is_chosen_beside_a_controller_that_is_never_ready() {
        let machine = Machine::with_disk("vda");
        machine.write(&format!("{FUNCTIONS}/0000:00:1f.2/class"), "0x030000");
        machine.write(&format!("{FUNCTIONS}/0000:01:00.0/class"), "0x010400");
        let impatient =
            Timeouts { unnamed: (Duration::from_millis(1), Duration::from_millis(60)), ..QUICK };
        let error = settled(&machine.root(), &ANY, &impatient).await.unwrap_err().to_string();
        assert!(error.contains("the storage controller 0000:01:00.0 has no driver"), "{error}");
        assert!(error.contains("targetDisk"), "{error}");
        let impatient = Timeouts { settled: impatient.unnamed, ..impatient };
        let named = InstallHints { serial: Some("SN".to_owned()), ..ANY };
        assert_eq!(settled(&machine.root(), &named, &impatient).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_data_disk_is_not_chosen_beside_one_that_has_failed() {
        let impatient =
            Timeouts { unnamed: (Duration::from_millis(1), Duration::from_millis(60)), ..QUICK };
        for (device, removable, is_chosen) in [
            ("pci0000:00/ata1/host0/target0:0:0/0:0:0:0/block/sda", "0", false),
            ("pci0000:00/ata1/host0/target0:0:0/0:0:0:0/block/sda", "1", true),
            ("pci0000:00/usb1/1-1/host0/target0:0:0/0:0:0:0/block/sda", "0", true),
            ("pci0000:00/host0/rport-0:0-1/target0:0:0/0:0:0:0/block/sda", "0", true),
        ] {
            let machine = Machine::with_disk("sdb");
            machine.write(&format!("/sys/devices/{device}/size"), "0");
            machine.write(&format!("/sys/devices/{device}/removable"), removable);
            let link = machine.path("/sys/block/sda");
            std::os::unix::fs::symlink(format!("../devices/{device}"), link).unwrap();
            let found = settled(&machine.root(), &ANY, &impatient).await;
            assert_eq!(found.is_ok(), is_chosen, "{device} {removable}");
            let told = found.err().map(|error| error.to_string()).unwrap_or_default();
            assert_eq!(told.starts_with("the disk sda does not say"), !is_chosen, "{told}");
        }
    }

    #[tokio::test]
    async fn ide_is_never_waited_for_and_sata_only_on_hardware() {
        let impatient =
            Timeouts { unnamed: (Duration::from_millis(1), Duration::from_millis(60)), ..QUICK };
        for (file, content, is_virtual) in [
            (PROCESSORS, "processor\t: 0\nflags\t\t: fpu hypervisor lahf_lm\n", true),
            (VENDOR, "QEMU\n", true),
            (PROCESSORS, "processor\t: 0\nflags\t\t: fpu lahf_lm\nbugs\t: hypervisor\n", false),
            (VENDOR, "Dell Inc.\n", false),
        ] {
            for (class, is_chosen) in [("0x010601", is_virtual), ("0x01018a", true)] {
                let machine = Machine::with_disk("vda");
                machine.write(&format!("{FUNCTIONS}/0000:00:1f.2/class"), class);
                machine.write(file, content);
                let found = settled(&machine.root(), &ANY, &impatient).await;
                assert_eq!(found.is_ok(), is_chosen, "{class} {content}");
            }
        }
    }

    struct Machine(TempDir);

    impl Machine {
        fn with_disk(name: &str) -> Self {
            let machine = Self(tempfile::tempdir().unwrap());
            machine.plug_in(name);
            machine
        }

        fn plug_in(&self, disk: &str) {
            self.write(&format!("/sys/block/{disk}/size"), "409600");
        }

        fn path(&self, path: &str) -> PathBuf {
            self.0.path().join(path.trim_start_matches('/'))
        }

        fn write(&self, path: &str, content: &str) {
            let path = self.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }

        fn root(&self) -> Root {
            Root::new(self.0.path())
        }
    }
}
