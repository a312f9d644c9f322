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
//! Left out: what the guest does. A [`Host::Vm`](crate::Host::Vm) runs; its console tells the rest.

mod console;
mod firmware;
mod keeper;
mod process;
mod qmp;
mod trust;
mod variables;

pub(super) use keeper::run;
