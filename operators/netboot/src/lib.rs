//! DHCP and TFTP server of the out-of-band and boot networks; records the BMCs it sees as Endpoints.
//!
//! [`metal_dhcp`] decides; here are the sockets ([`link`]), the leases on disk
//! ([`lease_file`]), the loop between them ([`server`]), and the ways to and from the API server,
//! which is not on the path of a packet ([`recorder`], [`machines`], [`publisher`]); of two
//! instances, [`standby`] says which one answers.
//! Boot files are the business of [`tftp`].

pub mod args;
mod buffer;
mod frame;
pub mod guests;
pub mod lease_file;
mod lease_store;
pub mod link;
pub mod machines;
pub mod metrics;
mod parts;
pub mod prober;
pub mod published;
pub mod publisher;
pub mod recorder;
#[cfg(test)]
mod reference;
mod run;
pub mod server;
pub mod standby;
pub mod tftp;
pub mod tool;
mod unknown_relays;
mod unserved;
pub mod v6;

pub use parts::Parts;
pub use run::run;
