//! Memory available to the kernel. Modules come from SMBIOS.

use super::{Machine, Notes};

/// Size of the memory in bytes.
pub(super) fn total(machine: &Machine, notes: &mut Notes) -> Option<u64> {
    let text = notes.ok(machine.root.text("/proc/meminfo"))?;
    let total = mem_total(&text);
    if total.is_none() {
        notes.note("/proc/meminfo has no MemTotal in kB".to_owned());
    }
    total
}

/// The size in the line `... MemTotal: N kB` of `/proc/meminfo` or a node's `meminfo`, in bytes.
pub(super) fn mem_total(text: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| Some(line.split_once("MemTotal:")?.1))?;
    let kilobytes = rest.trim().strip_suffix("kB")?.trim();
    kilobytes.parse::<u64>().ok()?.checked_mul(1024)
}
