//! Settings of a virtual machine.

use std::path::PathBuf;

/// What the UEFI firmware of a virtual machine trusts. Certificates are DER.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// The authority that signs the certificates of HTTPS servers.
    pub authority: Option<Vec<u8>>,
    /// The authority that signs what may boot: if set, Secure Boot is on. The firmware must support
    /// it.
    pub signer: Option<Vec<u8>>,
}

/// Settings of a virtual machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vm {
    /// Its own folder, for `console.log` and runtime files. Its path must be short: a socket is in
    /// there.
    pub folder: PathBuf,
    /// Network device of the first port: an existing tap device.
    pub tap: String,
    /// Memory in MiB.
    pub memory: u32,
    /// Path of QEMU.
    pub qemu: PathBuf,
    /// UEFI firmware: its code.
    pub uefi_code: PathBuf,
    /// UEFI firmware: the template of its variables.
    pub uefi_variables: PathBuf,
    /// What it trusts.
    pub trust: Trust,
    /// Whether what is written to UEFI variables lasts, as in a machine: the boot order, too, which then
    /// counts as long as the BMC asks for nothing else. Otherwise each boot begins with those of the
    /// template, and with the boot order of the BMC.
    pub keeps_variables: bool,
    /// Whether it has a TPM 2.0: swtpm, whose keys last.
    pub has_tpm: bool,
}

impl Vm {
    /// A virtual machine with Debian's QEMU and firmware, and the least memory with which every
    /// boot method works.
    pub fn new(folder: impl Into<PathBuf>, tap: impl Into<String>) -> Self {
        Self {
            folder: folder.into(),
            tap: tap.into(),
            memory: 256,
            qemu: "qemu-system-x86_64".into(),
            uefi_code: "/usr/share/OVMF/OVMF_CODE_4M.fd".into(),
            uefi_variables: "/usr/share/OVMF/OVMF_VARS_4M.fd".into(),
            trust: Trust::default(),
            keeps_variables: false,
            has_tpm: false,
        }
    }

    /// Whether the firmware is a build with Secure Boot, as Debian names it.
    pub fn has_secure_boot(&self) -> bool {
        let name = self.uefi_code.file_name().unwrap_or_default();
        name.to_string_lossy().contains(".secboot")
    }

    /// The host's serial output; when the file gets too long, the older half is moved to a file of
    /// the same name with `.old` appended.
    pub fn console(&self) -> PathBuf {
        self.folder.join("console.log")
    }
}
