//! The disk that a Machine was installed to last: without `spec.pxe.targetDisk` no other one is installed to. If it
//! is gone, the only disk that is left has somebody's data.
//!
//! ```text
//! its installer is done, and says which disk ──► recorded ──► the next one is told that disk, and takes no other
//! its installer is done, and does not say    ──► forgotten ──► the next one takes the only disk that fits
//! ```
//!
//! What is recorded comes from the machine, which harms nobody but itself with it.

use metal_api::{
    Machine, MachineInstalledDisk, MachineTargetDisk,
    installation::{InstallDone, InstalledDisk},
};
use metal_core::{conditions::cut, installation::size};

/// The longest serial number and World Wide Name, in bytes: as in `targetDisk`.
const NAME: usize = 128;
/// The longest model, in bytes.
const MODEL: usize = 64;
/// Words of an installer that has chosen no disk.
const NOT_CHOSEN: [&str; 2] = ["targetDisk", "no disk to install to"];

/// The disk in what an installer posts when it is done: nothing, if it says none by which it could be found again.
pub fn told(body: &[u8]) -> Option<MachineInstalledDisk> {
    let done: InstallDone = serde_json::from_slice(body).ok()?;
    recorded(&done.disk?)
}

/// A serial number or WWN that could not be compared as it is does not count.
fn recorded(disk: &InstalledDisk) -> Option<MachineInstalledDisk> {
    // As in a JSON string that needs no escape: templates of images quote it.
    let serial = name(&disk.serial, |c| c == ' ' || (c.is_ascii_graphic() && !"\"\\".contains(c)));
    let wwn = name(&disk.wwn, |c| c.is_ascii_alphanumeric() || ".:-".contains(c));
    let wwn = wwn.filter(|it| is_set(it.rsplit(['.', 'x']).next().unwrap_or_default()));
    if serial.is_none() && wwn.is_none() {
        return None;
    }
    let model = disk.model.replace(|c: char| !c.is_ascii_graphic(), " ");
    let model = cut(model.trim(), MODEL).into_owned();
    let size_bytes = i64::try_from(disk.size_bytes).ok().filter(|bytes| *bytes > 0);
    Some(MachineInstalledDisk {
        serial,
        wwn,
        model: Some(model).filter(|it| !it.is_empty()),
        size_bytes,
    })
}

fn name(text: &str, is_letter: impl Fn(char) -> bool) -> Option<String> {
    let text = text.trim();
    let is_name = is_set(text) && text.len() <= NAME && text.chars().all(is_letter);
    is_name.then(|| text.to_owned())
}

/// Zeros alone, also after `eui.` or `0x`, are what a disk without a name says.
fn is_set(text: &str) -> bool {
    text.chars().any(|c| c != '0' && c.is_ascii_alphanumeric())
}

/// The disk that is installed to, where nobody says which: the one that was installed to last.
fn expected(machine: &Machine) -> Option<&MachineInstalledDisk> {
    let pxe = machine.spec.pxe.as_ref()?;
    let disk = machine.status.as_ref()?.operations.as_ref()?.installed_disk.as_ref()?;
    let has_name = disk.serial.is_some() || disk.wwn.is_some();
    (pxe.target_disk.is_none() && has_name).then_some(disk)
}

/// What the installer is told of its disk: what `spec.pxe.targetDisk` says, whatever was before, or the disk that was
/// installed to last.
pub(crate) fn target(machine: &Machine) -> Option<MachineTargetDisk> {
    let asked = machine.spec.pxe.as_ref().and_then(|pxe| pxe.target_disk.clone());
    asked.or_else(|| {
        let MachineInstalledDisk { serial, wwn, .. } = expected(machine)?.clone();
        Some(MachineTargetDisk { serial, wwn, ..MachineTargetDisk::default() })
    })
}

/// Why an installer has failed, with what a person has to know if it has chosen no disk: it does not know itself that
/// nobody has named one.
pub(crate) fn explained(machine: &Machine, failure: String) -> String {
    let chose_none = NOT_CHOSEN.iter().any(|words| failure.contains(words));
    match expected(machine).filter(|_| chose_none) {
        Some(disk) => format!(
            "only the disk that was installed to last ({}) is installed to; if it was replaced, or has another \
             serial number or WWN by now, say in spec.pxe.targetDisk which one is meant; the installer says: {failure}",
            described(disk)
        ),
        None => failure,
    }
}

fn described(disk: &MachineInstalledDisk) -> String {
    let bytes = disk.size_bytes.and_then(|bytes| u64::try_from(bytes).ok());
    let parts = [
        disk.serial.as_ref().map(|serial| format!("serial {serial}")),
        disk.wwn.as_ref().map(|wwn| format!("WWN {wwn}")),
        disk.model.clone(),
        bytes.map(size),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_api::{MachinePxe, MachineSpec, MachineStatus};

    #[test]
    fn a_disk_is_recorded_by_the_names_that_it_can_be_found_by() {
        let long = "A".repeat(129);
        for (serial, wwn, expected) in [
            ("S4EWNX0R", "eui.0025385b", Some((Some("S4EWNX0R"), Some("eui.0025385b")))),
            (" SN 1 ", "", Some((Some("SN 1"), None))),
            ("", "0x5000c500aabbccdd", Some((None, Some("0x5000c500aabbccdd")))),
            ("SN", "t10.ATA a disk", Some((Some("SN"), None))),
            ("a\"b", "naa.5\n", Some((None, Some("naa.5")))),
            ("", "", None),
            ("0000 0000", "", None),
            ("", "0x0000000000000000", None),
            ("SN", "eui.0000000000000000", Some((Some("SN"), None))),
            ("", "nvme.8086-534e-4d-00000001", Some((None, Some("nvme.8086-534e-4d-00000001")))),
            ("a\\b", "a\u{1b}[2J", None),
            ("é", "-", None),
            (&*long, &*long, None),
        ] {
            let (serial, wwn) = (serial.to_owned(), wwn.to_owned());
            let disk = InstalledDisk { serial, wwn, ..InstalledDisk::default() };
            let found = recorded(&disk);
            let found = found.as_ref().map(|it| (it.serial.as_deref(), it.wwn.as_deref()));
            assert_eq!(found, expected, "{disk:?}");
        }
    }

    #[test]
    fn whatever_a_host_says_of_its_disk_is_bounded() {
        let disk = InstalledDisk {
            serial: "SN".to_owned(),
            model: format!("a\u{1b}[2J\n{}", "é".repeat(500)),
            size_bytes: u64::MAX,
            ..InstalledDisk::default()
        };
        let found = recorded(&disk).unwrap();
        assert_eq!((found.model.as_deref(), found.size_bytes), (Some("a [2J"), None));
        let model = "m".repeat(500);
        let found = recorded(&InstalledDisk { model, ..disk }).unwrap();
        assert!(found.model.unwrap().len() <= MODEL);
    }

    #[test]
    fn whoever_says_nothing_that_is_known_has_told_no_disk() {
        for body in ["", "null", "{}", "[]", "1", "ok", r#"{"disk":null}"#, r#"{"disk":{}}"#] {
            assert_eq!(told(body.as_bytes()), None, "{body}");
        }
        let body = r#"{"disk":{"serial":"SN","sizeBytes":5,"later":1},"later":1}"#;
        let found = told(body.as_bytes()).unwrap();
        assert_eq!((found.serial.as_deref(), found.size_bytes), (Some("SN"), Some(5)));
    }

    #[test]
    fn the_disk_of_before_is_meant_unless_a_person_says_something_of_it() {
        let by_size = MachineTargetDisk { min_size_gib: Some(1), ..MachineTargetDisk::default() };
        let of_before = MachineTargetDisk {
            serial: Some("SN".to_owned()),
            wwn: Some("naa.5".to_owned()),
            ..MachineTargetDisk::default()
        };
        let nothing = MachineTargetDisk::default();
        for (asked, is_recorded, expected) in [
            (None, false, None),
            (None, true, Some(&of_before)),
            (Some(&by_size), true, Some(&by_size)),
            (Some(&nothing), true, Some(&nothing)),
            (Some(&by_size), false, Some(&by_size)),
        ] {
            let machine = machine(asked.cloned(), is_recorded);
            assert_eq!(target(&machine).as_ref(), expected, "{asked:?} {is_recorded}");
        }
        let mut machine = machine(None, true);
        machine.spec.pxe = None;
        assert_eq!(target(&machine), None);
    }

    #[test]
    fn a_failure_to_find_the_disk_of_before_says_which_one_it_is_and_what_to_do() {
        let no_disk = "no disk fits targetDisk; there are sda (100 GiB, serial DATA)";
        let found = explained(&machine(None, true), no_disk.to_owned());
        for words in ["serial SN, WWN naa.5, M, 1.5 GiB", "spec.pxe.targetDisk", no_disk] {
            assert!(found.contains(words), "{words}: {found}");
        }
        // Two disks may say the same serial number.
        let two = "2 disks fit, and none is written to; say which in targetDisk: sda, sdb";
        let found = explained(&machine(None, true), two.to_owned());
        assert!(found.contains("spec.pxe.targetDisk") && !found.contains("not found"), "{found}");
        let named = Some(MachineTargetDisk::default());
        for (machine, failure) in [
            (machine(named, true), no_disk),
            (machine(None, false), no_disk),
            (machine(None, true), "the disk image is incomplete"),
        ] {
            assert_eq!(explained(&machine, failure.to_owned()), failure);
        }
    }

    fn machine(target_disk: Option<MachineTargetDisk>, is_recorded: bool) -> Machine {
        let pxe = Some(MachinePxe { target_disk, ..MachinePxe::default() });
        let mut machine = Machine::new("a", MachineSpec { pxe, ..MachineSpec::default() });
        let disk = MachineInstalledDisk {
            serial: Some("SN".to_owned()),
            wwn: Some("naa.5".to_owned()),
            model: Some("M".to_owned()),
            size_bytes: Some(3 << 29),
        };
        let status = machine.status.insert(MachineStatus::default());
        status.operations.get_or_insert_default().installed_disk = is_recorded.then_some(disk);
        machine
    }
}
