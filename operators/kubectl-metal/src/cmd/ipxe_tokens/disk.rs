//! Which disk a machine is installed to.

use anyhow::{Result, ensure};
use clap::{Args, value_parser};
use metal_api::MachineTargetDisk;

/// The largest disk, in GiB.
const LARGEST: i64 = 1 << 20;
/// The longest text, in bytes.
const TEXT: usize = 128;

/// What has to hold for exactly one disk.
#[derive(Debug, Default, Args)]
#[expect(clippy::struct_field_names, reason = "flags are named after fields")]
pub(super) struct DiskArgs {
    /// Serial number of the disk to install to
    #[arg(long, value_parser = serial, value_name = "SERIAL")]
    disk_serial: Option<String>,
    /// WWN of the disk to install to
    #[arg(long, value_parser = wwn, value_name = "WWN")]
    disk_wwn: Option<String>,
    /// Least size of the disk to install to, in GiB
    #[arg(long, value_parser = value_parser!(i64).range(1..=LARGEST), value_name = "GIB")]
    disk_min_size: Option<i64>,
    /// Greatest size of the disk to install to, in GiB
    #[arg(long, value_parser = value_parser!(i64).range(1..=LARGEST), value_name = "GIB")]
    disk_max_size: Option<i64>,
    /// Install to a disk with platters that turn; =false to one without
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(value_name = "BOOL")]
    disk_rotational: Option<bool>,
}

impl DiskArgs {
    /// The disk, if any of its flags is given.
    ///
    /// # Errors
    ///
    /// If no disk could fit.
    pub(super) fn disk(&self) -> Result<Option<MachineTargetDisk>> {
        let (min, max) = (self.disk_min_size, self.disk_max_size);
        let is_range = min.zip(max).is_none_or(|(min, max)| min <= max);
        ensure!(is_range, "--disk-min-size must not be above --disk-max-size");
        let disk = MachineTargetDisk {
            serial: self.disk_serial.clone(),
            wwn: self.disk_wwn.clone(),
            min_size_gib: min,
            max_size_gib: max,
            rotational: self.disk_rotational,
        };
        Ok(Some(disk).filter(|it| *it != MachineTargetDisk::default()))
    }
}

fn serial(text: &str) -> Result<String, String> {
    let is_plain = |c: char| (c.is_ascii_graphic() || c == ' ') && !"\"\\".contains(c);
    let is_serial =
        !text.is_empty() && text.len() <= TEXT && text.chars().all(is_plain) && text.trim() == text;
    let wrong = || format!("write up to {TEXT} printable ASCII characters, as the disk reports it");
    if is_serial { Ok(text.to_owned()) } else { Err(wrong()) }
}

fn wwn(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ".:-".contains(c);
    let is_wwn = text.len() <= TEXT
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(is_plain);
    let wrong = || "write its hexadecimal digits, as 0x5000c500a1b2c3d4".to_owned();
    if is_wwn { Ok(text.to_owned()) } else { Err(wrong()) }
}
