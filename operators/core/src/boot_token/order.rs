//! The order for metal-installer: which disk image is written to which disk.

use super::binding::MACS;
use metal_api::{
    BootToken,
    installation::{InstallDisk, InstallOrder},
};

/// Path of the disk image, below the URL of the boot.
pub const DISK: &str = "disk.img";
/// Path of its checksum.
pub const CHECKSUMS: &str = "disk.img.sha256";
/// Path of the registration file of the installed system.
pub const CREDENTIAL: &str = "credential";
/// How many hardware addresses an order may have.
const ADDRESSES: usize = 32;

/// The order of a token. It is for the machine that has loaded the installer, as far as that has identified
/// itself.
pub fn order(token: &BootToken) -> InstallOrder {
    const { assert!(ADDRESSES <= MACS) };
    let machine = token.status.as_ref().and_then(|status| status.machine.clone());
    let mac = machine.map(|it| it.mac_addresses).filter(|mac| !mac.is_empty());
    let host = token.spec.host_name.clone();
    InstallOrder {
        machine: host.clone(),
        mac: mac.map(|mac| mac.into_iter().take(ADDRESSES).collect()),
        disk: InstallDisk { url: DISK.to_owned(), checksums: CHECKSUMS.to_owned() },
        target_disk: token.spec.target_disk.clone().map(Into::into),
        cloud_init: None,
        host: Some(CREDENTIAL.to_owned()),
        agent: None,
        installation: None,
        label: host,
    }
}
