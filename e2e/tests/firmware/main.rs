//! Machines with real firmware, in virtual machines.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and tells how long it took"
)]

mod inside;
mod vm;
