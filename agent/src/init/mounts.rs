//! Mounts the kernel's file systems where programs expect them.

use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
};
use std::{fs, io};

/// Type and place.
const BASE: [(&str, &str); 5] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("tmpfs", "/run"),
    ("tmpfs", "/tmp"),
];
/// Variables of UEFI firmware. Their driver is loaded later, and a machine with BIOS has none.
const VARIABLES: (&str, &str) = ("efivarfs", "/sys/firmware/efi/efivars");

/// A file system could not be mounted.
#[derive(Debug, thiserror::Error)]
#[error("could not mount {kind} on {place}")]
pub(super) struct MountError {
    kind: &'static str,
    place: &'static str,
    source: io::Error,
}

/// Mounts what every machine has; returns what could not be mounted.
pub(super) fn base() -> Vec<MountError> {
    BASE.into_iter().filter_map(|(kind, place)| attach(kind, place).err()).collect()
}

/// Mounts the firmware's variables, if it has any.
pub(super) fn variables() -> Result<(), MountError> {
    let (kind, place) = VARIABLES;
    if fs::exists(place).unwrap_or(false) { attach(kind, place) } else { Ok(()) }
}

fn attach(kind: &'static str, place: &'static str) -> Result<(), MountError> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    let result = fs::create_dir_all(place).and_then(|()| {
        match mount(Some(kind), place, Some(kind), flags, None::<&str>) {
            // Already mounted.
            Ok(()) | Err(Errno::EBUSY) => Ok(()),
            Err(error) => Err(error.into()),
        }
    });
    result.map_err(|source| MountError { kind, place, source })
}
