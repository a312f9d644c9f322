//! The image that a rented server is installed from, built once.

use crate::{image::AUTHORITY, keys};
use anyhow::Result;
use e2e::{cluster::binary, stack::run_script};
use std::{ffi::OsStr, path::Path};
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// The folder with the output of `hack/netboot-image`.
pub(crate) async fn image() -> &'static Path {
    static IMAGE: OnceCell<TempDir> = OnceCell::const_new();
    IMAGE.get_or_init(async || built().await.unwrap()).await.path()
}

async fn built() -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let disk = folder.path().join("disk.img");
    // That of this build will do: the disk has the C library of this machine's Debian.
    let host = binary("metal-host").await?;
    keys::authority(folder.path(), AUTHORITY)?;
    let authority = folder.path().join(AUTHORITY).with_extension("pem");
    let [build, host_flag, ca_flag] = ["build", "--host", "--ca"].map(OsStr::new);
    let ca = authority.as_os_str();
    let host = host.as_os_str();
    run_script("hack/disk-image", [build, disk.as_os_str(), host_flag, host, ca_flag, ca]).await?;
    let [disk_flag, kernel, cloud] = ["--disk", "--kernel", "cloud"].map(OsStr::new);
    let target = folder.path().as_os_str();
    let image = [build, target, disk_flag, disk.as_os_str(), kernel, cloud, ca_flag, ca];
    run_script("hack/netboot-image", image).await?;
    std::fs::remove_file(disk)?;
    Ok(folder)
}
