//! What a machine needs to be a virtual one.

use std::path::PathBuf;

/// Whom the UEFI firmware of a virtual machine trusts. Certificates are DER.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// The authority that signs the certificates of HTTPS servers.
    pub authority: Option<Vec<u8>>,
    /// Who signs what may boot: with one, Secure Boot is on. The firmware must have been built for
    /// it.
    pub signer: Option<Vec<u8>>,
}

/// What a machine needs to be a real one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vm {
    /// A folder of its own, for `console.log`, and for what it needs while it runs. Its name must
    /// be short: a socket is in there.
    pub folder: PathBuf,
    /// Network device of the first port: a tap device, which must be there.
    pub tap: String,
    /// Memory in MiB.
    pub memory: u32,
    /// QEMU.
    pub qemu: PathBuf,
    /// UEFI firmware: its code.
    pub uefi_code: PathBuf,
    /// UEFI firmware: its variables, as new.
    pub uefi_variables: PathBuf,
    /// Whom it trusts.
    pub trust: Trust,
}

impl Vm {
    /// With Debian's QEMU and firmware, and as little memory as every boot path works with.
    pub fn new(folder: impl Into<PathBuf>, tap: impl Into<String>) -> Self {
        Self {
            folder: folder.into(),
            tap: tap.into(),
            memory: 256,
            qemu: "qemu-system-x86_64".into(),
            uefi_code: "/usr/share/OVMF/OVMF_CODE_4M.fd".into(),
            uefi_variables: "/usr/share/OVMF/OVMF_VARS_4M.fd".into(),
            trust: Trust::default(),
        }
    }

    /// What the host prints on its serial port; when it grows too long, the older half is in a file
    /// of the same name with `.old` appended.
    pub fn console(&self) -> PathBuf {
        self.folder.join("console.log")
    }
}
