//! A machine that is a real one: QEMU, with the firmware that machines of today have.
//!
//! What a BMC does to a host is done to a process. Each boot is a process of its own, because boot
//! settings become firmware, variables and devices, which are chosen when QEMU starts: QEMU ends
//! where a machine would reset, and a new one takes its place.
//!
//! ```text
//!   Reset ──► orders ──► keeper ──QMP──► QEMU ── tap ── the network that the host boots from
//!                          │ ▲             │
//!               PowerState ▼ └── SHUTDOWN ─┴── console ──► console.log
//! ```
//!
//! Left out: what the guest does. A [`Host::Vm`](super::Host::Vm) runs; its console tells the rest.

mod console;
mod firmware;
mod keeper;
mod orders;
mod process;
mod qmp;
mod trust;
mod variables;

pub(super) use keeper::run;
pub(super) use orders::Orders;
pub use trust::Trust;

use std::path::PathBuf;

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
