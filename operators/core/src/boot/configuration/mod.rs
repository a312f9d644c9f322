//! The lifecycle of a `ServerBootConfiguration`.
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
//! The boot configs are written first; the state follows when both have been observed, because a
//! server is powered on as soon as the state is `Ready`. A boot configuration that is `Ready` does
//! not change until its generation does, even if the tag of its image moves.

mod child;
mod decide;
mod method;
mod status;
#[cfg(test)]
mod tests;

pub use child::{SHARED, manifest, network_identifiers};
pub use decide::{decide, is_idle, needs_image, outdated};

use super::{Ignition, Unavailable};
use jiff::Timestamp;
use metal_api::{
    HttpBootConfig, IpxeBootConfig, Server, ServerBootConfiguration, ServerBootConfigurationStatus,
};

/// Which ways of booting are enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes {
    /// iPXE.
    pub pxe: bool,
    /// UEFI HTTP boot.
    pub http: bool,
}

/// The boot configs of the same name as a boot configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct BootConfigs<'a> {
    /// What iPXE loads.
    pub ipxe: Option<&'a IpxeBootConfig>,
    /// What UEFI HTTP boot loads.
    pub http: Option<&'a HttpBootConfig>,
}

/// The input of a pass.
#[derive(Clone, Debug)]
pub struct Observation<'a> {
    /// The boot config.
    pub configuration: &'a ServerBootConfiguration,
    /// The server that it names.
    pub server: Option<&'a Server>,
    /// The state of its image.
    pub image: Image,
    /// The token in the URL of its UKI, with which the client that loads it may fetch the ignition.
    pub uki_token: Option<&'a str>,
    /// Its ignition.
    pub ignition: Ignition,
    /// Its boot configs.
    pub there: BootConfigs<'a>,
    /// Now.
    pub now: Timestamp,
}

/// The state of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    /// It was inspected for this generation, and the boot configs have what it offers.
    Settled,
    /// It is not usable at all.
    Failed(Unavailable),
    /// It offers these.
    Offers {
        /// What iPXE loads.
        pxe: Result<PxeUrls, Unavailable>,
        /// What UEFI HTTP boot loads.
        uki: Result<Uki, Unavailable>,
    },
}

/// What UEFI HTTP boot loads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uki {
    /// Its URL.
    pub url: String,
    /// Digest of the manifest that it was found in, where the files beside it are.
    pub manifest: Option<String>,
}

/// What iPXE loads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PxeUrls {
    /// URL of the kernel.
    pub kernel: String,
    /// URL of the initial RAM disk.
    pub initrd: String,
    /// URL of the root file system, if there is one.
    pub squashfs: Option<String>,
}

/// What a pass is to do. The status is our part of it.
pub type Decision = metal_base::Decision<ServerBootConfigurationStatus, Change>;

/// One write to another object.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Apply this IPXEBootConfig.
    ApplyIpxe(Box<IpxeBootConfig>),
    /// Apply this HTTPBootConfig.
    ApplyHttp(Box<HttpBootConfig>),
    /// Delete the IPXEBootConfig of the same name.
    DeleteIpxe,
    /// Delete the HTTPBootConfig of the same name.
    DeleteHttp,
}
