//! Chooses the disk to install to: the only one that fits. If several fit, none is chosen.

use super::{Candidate, Reach};
use metal_api::installation::{InstallHints, InstalledDisk};
use std::fmt::Write;

const GIB: u64 = 1 << 30;
/// How many disks an error names.
const SHOWN: usize = 8;

/// Why no disk was chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChoiceError {
    /// No disk can be installed to.
    #[error("this machine has no disk to install to; it has {0}")]
    NoDisk(String),
    /// No disk matches `targetDisk`.
    #[error("no disk fits targetDisk; there are {0}")]
    NoneFits(String),
    /// Several match.
    #[error("{0} disks fit, and none is written to; say which in targetDisk: {1}")]
    Several(usize, String),
    /// Several disks have the same World Wide Name: they are paths to one disk, or copies of it.
    #[error(
        "{0} have the same WWN; several paths to a disk are not supported: leave one, or name another disk"
    )]
    Twins(String),
    /// Other disks may still appear.
    #[error(
        "{0}: there may be disks that do not show yet, so none is chosen; name one by its serial number or WWN in \
         targetDisk"
    )]
    StillLooking(String),
    /// One that would fit can only be read.
    #[error(
        "disk {0} fits, but can only be read, as flash does that is worn out: it may be the one that is meant, so no \
         other is chosen; replace it, or name a disk by its serial number or WWN in targetDisk"
    )]
    WornOut(String),
    /// The disk is mounted, or part of something else.
    #[error("disk {0} is in use: {1}")]
    InUse(String, String),
}

/// Chooses a disk.
///
/// # Errors
///
/// If not exactly one matches, or that one is in use.
pub(crate) fn choose<'a>(
    all: &'a [Candidate],
    hints: &InstallHints,
) -> Result<&'a Candidate, ChoiceError> {
    let usable: Vec<_> = all.iter().filter(|it| unusable(it).is_none()).collect();
    if usable.is_empty() {
        return Err(ChoiceError::NoDisk(describe(all.iter())));
    }
    let fitting: Vec<_> = usable
        .iter()
        .copied()
        .filter(|it| fits(it, hints) && (it.reach == Reach::Local || hints.name_a_disk()))
        .collect();
    match fitting[..] {
        [] => Err(ChoiceError::NoneFits(describe(usable.into_iter()))),
        [one] => match (twin(one, all), &one.in_use, worn_out(all, hints)) {
            (Some(twin), ..) => Err(ChoiceError::Twins(format!("{} and {}", one.name, twin.name))),
            (None, Some(by), _) => Err(ChoiceError::InUse(one.name.clone(), by.clone())),
            (None, None, Some(other)) => Err(ChoiceError::WornOut(other.name.clone())),
            (None, None, None) => Ok(one),
        },
        [first, ..] if fitting.iter().all(|it| is_twin(first, it)) => {
            let names: Vec<_> = fitting.iter().map(|it| it.name.as_str()).take(SHOWN).collect();
            Err(ChoiceError::Twins(names.join(" and ")))
        }
        _ => Err(ChoiceError::Several(fitting.len(), describe(fitting.into_iter()))),
    }
}

/// What the server is told about the disk that was installed to, so that it can ask for the same one.
pub(crate) fn told(disk: &Candidate) -> InstalledDisk {
    let Candidate { serial, wwn, model, size, .. } = disk.clone();
    // A World Wide Name that is not set fits to no disk.
    let wwn = canonical(&wwn).map(|_| wwn).unwrap_or_default();
    InstalledDisk { serial, wwn, model, size_bytes: size }
}

/// A disk of this machine that would fit if it could be written to. A disk that has failed like this was installed
/// to before, and the only one that is left has somebody's data; unless a disk is named, nobody knows.
fn worn_out<'a>(all: &'a [Candidate], hints: &InstallHints) -> Option<&'a Candidate> {
    let is_fixed = |it: &Candidate| {
        let has_medium = it.size > 0 && !it.is_removable && it.reach == Reach::Local;
        has_medium && ["nvme", "sas", "sata"].contains(&it.transport.as_str())
    };
    let worn_out = all.iter().find(|it| it.is_read_only && is_fixed(it) && fits(it, hints));
    worn_out.filter(|_| !hints.name_a_disk())
}

/// Why a disk never counts.
fn unusable(disk: &Candidate) -> Option<&'static str> {
    // A hardware partition of an eMMC: for boot code, for keys (RPMB), or for general purpose.
    let part = disk.name.strip_prefix("mmcblk").unwrap_or_default();
    let is_slot = ["boot", "rpmb", "gp"].iter().any(|it| part.contains(it));
    match () {
        () if disk.size == 0 => Some("no medium"),
        () if disk.is_read_only => Some("read-only"),
        () if disk.is_removable => Some("removable"),
        () if disk.transport == "usb" => Some("USB"),
        () if ["sr", "fd", "mtd"].iter().any(|it| disk.name.starts_with(it)) || is_slot => {
            Some("no disk")
        }
        () => None,
    }
}

/// Whether a disk matches all hints.
pub(super) fn fits(disk: &Candidate, hints: &InstallHints) -> bool {
    let InstallHints { serial, wwn, min_size_gib, max_size_gib, rotational } = hints;
    let bytes = |gib: u64| gib.saturating_mul(GIB);
    // A blank one would be that of every disk that reports none.
    serial.as_deref().map(str::trim).is_none_or(|it| !it.is_empty() && it == disk.serial.trim())
        && wwn
            .as_deref()
            .is_none_or(|it| canonical(it).is_some() && canonical(it) == canonical(&disk.wwn))
        && min_size_gib.is_none_or(|it| disk.size >= bytes(it))
        && max_size_gib.is_none_or(|it| disk.size <= bytes(it))
        && rotational.is_none_or(|it| it == disk.is_rotational)
}

fn twin<'a>(disk: &Candidate, all: &'a [Candidate]) -> Option<&'a Candidate> {
    all.iter().find(|it| it.name != disk.name && is_twin(disk, it))
}

fn is_twin(one: &Candidate, other: &Candidate) -> bool {
    let wwn = canonical(&one.wwn);
    wwn.is_some() && wwn == canonical(&other.wwn)
}

/// A World Wide Name without its prefix and separators, which tools write differently.
fn canonical(wwn: &str) -> Option<String> {
    let wwn = wwn.trim().to_ascii_lowercase();
    let prefixes = ["0x", "naa.", "eui.", "uuid.", "nvme."];
    let rest = prefixes.iter().find_map(|it| wwn.strip_prefix(it)).unwrap_or(&wwn);
    let rest: String = rest.chars().filter(|c| !matches!(c, ':' | '-')).collect();
    // Not set; some drives and all of QEMU's report it.
    let is_set = rest.chars().any(|c| c != '0' && c.is_ascii_graphic());
    is_set.then_some(rest)
}

/// A description of the disks by which a person can tell them apart.
fn describe<'a>(disks: impl ExactSizeIterator<Item = &'a Candidate>) -> String {
    let count = disks.len();
    let mut text = String::new();
    for disk in disks.take(SHOWN) {
        let gib = disk.size / GIB;
        let far =
            (disk.reach == Reach::Network).then_some("on a network, so only by serial or WWN");
        let why = unusable(disk).or(far).or(disk.is_rotational.then_some("rotational"));
        let separator = if text.is_empty() { "" } else { ", " };
        write!(text, "{separator}{} ({gib} GiB", disk.name).ok();
        for (name, value) in
            [("serial", disk.serial.as_str()), ("WWN", disk.wwn.as_str()), ("", why.unwrap_or(""))]
        {
            if !value.is_empty() {
                write!(
                    text,
                    "{}{value}",
                    if name.is_empty() { ", ".into() } else { format!(", {name} ") }
                )
                .ok();
            }
        }
        text.push(')');
    }
    match count {
        0 => "none".to_owned(),
        _ if count > SHOWN => format!("{text} and {} more", count - SHOWN),
        _ => text,
    }
}

#[cfg(test)]
mod tests;
