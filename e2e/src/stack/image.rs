//! The images that a stack starts with. A simulated machine only compares their layers: nothing
//! executes them.

use super::{Layer, OciRegistry};
use anyhow::Result;

/// The discovery image, for all boot methods.
pub const DISCOVERY: &str = "os/discovery:1";
/// A tenant's image for iPXE.
pub const PXE_TENANT: &str = "os/pxe-tenant:1";
/// A tenant's image for UEFI HTTP boot.
pub const HTTP_TENANT: &str = "os/http-tenant:1";
/// An image without anything to boot.
pub const NO_KERNEL: &str = "os/no-kernel:1";

/// Media type of a kernel.
pub const KERNEL: &str = "application/vnd.ironcore.image.kernel";
/// Media type of an initial RAM disk.
pub const INITRD: &str = "application/vnd.ironcore.image.initramfs";
const SQUASHFS: &str = "application/vnd.ironcore.image.squashfs";
/// Media type of a unified kernel image.
pub const UKI: &str = "application/vnd.ironcore.image.uki";
/// Media type of a disk image.
pub const DISK: &str = "application/vnd.bloomery.image.disk";

/// Pushes all images; the discovery image gets the layers `discovery`, unless that is empty.
pub(super) async fn push(registry: &OciRegistry, discovery: &[Layer<'_>]) -> Result<()> {
    let kernel = content("discovery kernel");
    let (initrd, squashfs) = (content("discovery initrd"), content("discovery squashfs"));
    let uki = content("discovery uki");
    let layers: [(&str, &[u8]); 4] =
        [(KERNEL, &kernel), (INITRD, &initrd), (SQUASHFS, &squashfs), (UKI, &uki)];
    let discovery = if discovery.is_empty() { &layers } else { discovery };
    registry.push(DISCOVERY, discovery).await?;
    let (kernel, initrd) = (content("tenant kernel"), content("tenant initrd"));
    let squashfs = content("tenant squashfs");
    let layers: [(&str, &[u8]); 3] = [(KERNEL, &kernel), (INITRD, &initrd), (SQUASHFS, &squashfs)];
    registry.push(PXE_TENANT, &layers).await?;
    registry.push(HTTP_TENANT, &[(UKI, &content("tenant uki"))]).await?;
    let other = content("something else");
    registry.push(NO_KERNEL, &[("application/vnd.oci.image.layer.v1.tar", &other)]).await
}

/// Some kilobytes of recognizable content.
fn content(what: &str) -> Vec<u8> {
    format!("{what}\n").repeat(512).into_bytes()
}
