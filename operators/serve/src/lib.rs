//! Serves DHCP and TFTP: sockets, threads and knowledge of the kernel, around the functions of
//! [`metal_dhcp`].
//!
//! The caller decides which file a machine gets, and where leases are stored: this crate knows no
//! kinds of the API server.

mod buffer;
mod datagram;
pub mod dhcp;
pub mod neighbor_limit;
pub mod tftp;
pub mod threads;
