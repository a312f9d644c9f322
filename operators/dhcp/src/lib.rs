//! DHCPv4, DHCPv6 and TFTP for machines that boot, as pure functions: packets, leases and the time
//! go in, answers and leases to record come out.
//!
//! ```text
//! v4, v6, tftp   protocols: wire, decisions, answers
//! reservations   DHCPv4 where objects say who has which address
//! config         what a configuration file says
//! lease          who has which address, and how that is written down
//! fair_queue     which packets are answered when more come than can be
//! neighbor_limit how many addresses may be new to the kernel at a time
//! new_bmc_rate   how many new BMCs are recorded
//! ```
//!
//! Sockets, files, threads and the clock are left to `metal-serve` and `netboot`. What a machine
//! boots is decided by [`metal_core::boot`], and what is made of a BMC with an address by
//! [`metal_core::endpoint`].

#![warn(clippy::wildcard_enum_match_arm)]

mod address;
mod architecture;
mod boot_kind;
mod client;
pub mod config;
pub mod fair_queue;
pub mod lease;
pub mod neighbor_limit;
mod new_bmc_rate;
mod port;
pub mod reservations;
mod sharding;
#[cfg(test)]
mod simulation;
mod subnet_check;
pub mod tftp;
pub mod v4;
pub mod v6;

pub use address::Address;
pub use architecture::Architecture;
pub use client::{Client, ParseClientError};
pub use new_bmc_rate::NewBmcRate;
pub use sharding::{Instances, Part, Sharing};
