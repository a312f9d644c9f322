//! Machines with real firmware, in virtual machines.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and tells how long a boot took"
)]

mod bios;
mod bmc;
mod direct;
mod image;
mod inside;
mod keys;
mod lab;
mod logs;
mod network;
mod node;
mod path;
mod rented;
mod router;
mod script;
mod secure;
mod site;
mod uefi;
mod vm;
