//! The DHCP and TFTP server of the out-of-band and boot networks, which also records the BMCs that
//! it sees as Endpoints.
//!
//! [`metal_dhcp`] decides; here are the leases on disk
//! (`lease_file`), what answers packets (`lease_server`, `v4`, `v6`), and the ways to and from the API
//! server, which is not on the path of a packet (`recorder`, `machines`, `lease_publisher`); of two
//! instances, `standby` says which one answers.
//! Sockets, the loop over them, TFTP, and what the servers of a process share, are of [`metal_serve`].

pub mod args;
mod boot_files;
mod lease_file;
mod lease_publisher;
mod lease_server;
mod lease_store;
mod machines;
mod metrics;
mod recorder;
#[cfg(test)]
mod reference_page;
mod run;
mod server_parts;
mod shared_leases;
mod standby;
pub mod subcommands;
mod v4;
mod v6;

pub use run::run;

use server_parts::ServerParts;
