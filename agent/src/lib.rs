//! Agent of the discovery image: collects the inventory of a machine and posts it to the registry.
//!
//! `probe` collects, `lldp` listens to the switches, `registry` posts, and `agent` is the loop
//! around them; `init` is what it takes to be the only process of an image, also for other programs that
//! are (`metal-installer`). The parsers below
//! (`smbios`, `lldp`, `netlink`, `pci_ids`) read what firmware, neighbors and kernel wrote and
//! trust none of it.

pub mod agent;
pub mod args;
pub mod init;
mod kernel;
pub mod lldp;
mod netlink;
mod pci_ids;
mod probe;
#[cfg(test)]
mod reference_page;
pub mod registry;
mod root;
mod smbios;

pub use probe::{disks, nvme_controllers};
pub use root::Root;

#[cfg(test)]
mod fixture;
