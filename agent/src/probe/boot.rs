//! How the machine was booted, and which agent reports.

use super::{Machine, Notes};
use metal_api::inventory::Report;
use std::env::consts::ARCH;

/// The variable of the EFI global namespace: four bytes of attributes, one of value.
const SECURE_BOOT: &str =
    "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// Firmware mode, Secure Boot, TPM, kernel and agent.
pub(super) fn collect(machine: &Machine, notes: &mut Notes) -> Report {
    let root = &machine.root;
    let uefi = root.has("/sys/firmware/efi");
    let secure_boot = uefi && root.has(SECURE_BOOT);
    let variable = secure_boot.then(|| notes.ok(root.bytes(SECURE_BOOT))).flatten();
    Report {
        firmware_mode: match (uefi, ARCH) {
            (true, _) => "uefi",
            (false, "x86" | "x86_64") => "bios",
            (false, _) => "",
        }
        .to_owned(),
        secure_boot: variable.and_then(|bytes| bytes.get(4).map(|value| *value == 1)),
        tpm_version: match root.number("/sys/class/tpm/tpm0/tpm_version_major") {
            Some(2) => "2.0".to_owned(),
            Some(1) => "1.2".to_owned(),
            _ => String::new(),
        },
        architecture: ARCH.to_owned(),
        kernel: notes.ok(root.text("/proc/sys/kernel/osrelease")).unwrap_or_default(),
        agent: concat!("metalprobe/", env!("CARGO_PKG_VERSION")).to_owned(),
        ..Report::default()
    }
}
