//! What becomes of a `ServerBootConfiguration`.
//!
//! ```text
//!                  image resolved, ignition usable
//!   (none) ─────────► boot configs applied ─────────► Ready ──┐
//!      │                                                      │ new generation
//!      │ image, ignition or server not usable                 ▼
//!      └──────────────────────────────► Error ◄────────── Pending
//!                                         └── looked at again, ever more slowly ──►
//! ```
//!
//! The boot configs are written first and the state last, when both are seen to be in place: a
//! server is switched on as soon as the state is `Ready`. A configuration that is `Ready` stays as
//! it is until its generation changes, whatever becomes of the tag of its image.

mod child;
mod decide;
mod status;
#[cfg(test)]
mod tests;

pub use child::{is_ours, network_identifiers};
pub use decide::{decide, is_idle, needs_image, outdated};

use super::{Ignition, Lack};
use jiff::Timestamp;
use metal_api::{
    HttpBootConfig, IpxeBootConfig, Server, ServerBootConfiguration, ServerBootConfigurationStatus,
};

/// Which ways of booting are looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes {
    /// iPXE.
    pub pxe: bool,
    /// UEFI HTTP boot.
    pub http: bool,
}

/// What a pass has seen.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    /// The configuration.
    pub configuration: &'a ServerBootConfiguration,
    /// The server that it names.
    pub server: Option<&'a Server>,
    /// Its image.
    pub image: Image,
    /// What a link to its UKI carries, so that whoever loads it may fetch the ignition.
    pub uki_token: Option<&'a str>,
    /// Its ignition.
    pub ignition: Ignition,
    /// The IPXEBootConfig of the same name.
    pub ipxe: Option<&'a IpxeBootConfig>,
    /// The HTTPBootConfig of the same name.
    pub http: Option<&'a HttpBootConfig>,
    /// Now.
    pub now: Timestamp,
}

/// What is known of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    /// It was looked at for this generation, and the boot configs have what it offers.
    Settled,
    /// It is not usable at all.
    Failed(Lack),
    /// It offers these.
    Offers {
        /// What iPXE loads.
        pxe: Result<PxeUrls, Lack>,
        /// What UEFI HTTP boot loads: its URL.
        uki: Result<String, Lack>,
    },
}

/// What iPXE loads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PxeUrls {
    /// URL of the kernel.
    pub kernel: String,
    /// URL of the initial RAM disk.
    pub initrd: String,
    /// URL of the root file system, where there is one.
    pub squashfs: Option<String>,
}

/// What one pass is to do. The status is our part of it.
pub type Decision = metal_base::Decision<ServerBootConfigurationStatus, Step>;

/// One write to another object.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Apply this IPXEBootConfig.
    ApplyIpxe(Box<IpxeBootConfig>),
    /// Apply this HTTPBootConfig.
    ApplyHttp(Box<HttpBootConfig>),
    /// Delete the IPXEBootConfig of the same name.
    DeleteIpxe,
    /// Delete the HTTPBootConfig of the same name.
    DeleteHttp,
}
