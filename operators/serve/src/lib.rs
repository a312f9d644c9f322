//! What serves DHCP and TFTP: sockets, threads and what the kernel knows, around the functions of
//! [`metal_dhcp`].
//!
//! Which file a machine gets, and where leases are kept, is told by the caller: there is no kind of
//! the API server here.

mod buffer;
mod datagram;
pub mod dhcp;
pub mod neighbor_limit;
pub mod running;
pub mod tftp;
