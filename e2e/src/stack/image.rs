//! The images that a stack starts with. Their layers are what a simulated machine can tell apart:
//! nothing executes them.

use super::OciRegistry;
use anyhow::Result;

/// The discovery image, for every kind of boot.
pub const DISCOVERY: &str = "os/discovery:1";
/// A tenant's image for iPXE.
pub const PXE_TENANT: &str = "os/pxe-tenant:1";
/// A tenant's image for UEFI HTTP boot.
pub const HTTP_TENANT: &str = "os/http-tenant:1";
/// An image that nothing boots.
pub const NO_KERNEL: &str = "os/no-kernel:1";

const KERNEL: &str = "application/vnd.ironcore.image.kernel";
const INITRD: &str = "application/vnd.ironcore.image.initramfs";
const SQUASHFS: &str = "application/vnd.ironcore.image.squashfs";
const UKI: &str = "application/vnd.ironcore.image.uki";

/// Pushes all of them.
pub(super) async fn push(registry: &OciRegistry) -> Result<()> {
    let kernel = content("discovery kernel");
    let (initrd, squashfs) = (content("discovery initrd"), content("discovery squashfs"));
    let uki = content("discovery uki");
    let layers: [(&str, &[u8]); 4] =
        [(KERNEL, &kernel), (INITRD, &initrd), (SQUASHFS, &squashfs), (UKI, &uki)];
    registry.push(DISCOVERY, &layers).await?;
    let (kernel, initrd) = (content("tenant kernel"), content("tenant initrd"));
    let squashfs = content("tenant squashfs");
    let layers: [(&str, &[u8]); 3] = [(KERNEL, &kernel), (INITRD, &initrd), (SQUASHFS, &squashfs)];
    registry.push(PXE_TENANT, &layers).await?;
    registry.push(HTTP_TENANT, &[(UKI, &content("tenant uki"))]).await?;
    let other = content("something else");
    registry.push(NO_KERNEL, &[("application/vnd.oci.image.layer.v1.tar", &other)]).await
}

/// Some kilobytes that say what they are.
fn content(what: &str) -> Vec<u8> {
    format!("{what}\n").repeat(512).into_bytes()
}
