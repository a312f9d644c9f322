//! A virtual machine: QEMU, with the firmware of today's machines.
//!
//! What a BMC does to a host is done to a process. Each boot is a process of its own, because boot
//! settings become firmware, variables and devices, which are fixed when QEMU starts: QEMU exits
//! where a machine would reset, and another process replaces it.
//!
//! ```text
//!   Reset ──► orders ──► keeper ──QMP──► QEMU ── tap ── the network that the host boots from
//!                          │ ▲             │
//!               PowerState ▼ └── SHUTDOWN ─┴── console ──► console.log
//! ```
//!
//! What the guest does is not modelled. A [`Host::Vm`](crate::Host::Vm) runs; the rest is on its
//! console.

mod console;
mod firmware;
mod keeper;
mod process;
mod qmp;
mod tpm;
mod trust;
mod variables;

pub(super) use keeper::run;
