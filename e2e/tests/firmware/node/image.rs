//! The netboot images, with a disk image in them, each built once for all tests that install machines.

use anyhow::Result;
use e2e::{cluster::binary, stack::run_script};
use std::{ffi::OsStr, path::Path};
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// The folder with the output of `hack/netboot-image`: its disk has Debian, with systemd and cloud-init.
pub(crate) async fn image() -> &'static Path {
    static IMAGE: OnceCell<TempDir> = OnceCell::const_new();
    IMAGE.get_or_init(async || built([]).await.unwrap()).await.path()
}

/// The same, with a disk that has metal-agent and the kubelet alone.
pub(crate) async fn small_image() -> &'static Path {
    static IMAGE: OnceCell<TempDir> = OnceCell::const_new();
    IMAGE.get_or_init(async || built(["--small"]).await.unwrap()).await.path()
}

async fn built<const N: usize>(options: [&str; N]) -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let disk = folder.path().join("disk.img");
    // Those of this build will do: the disk has the C library of this machine's Debian.
    let (agent, kubelet) = (binary("metal-agent").await?, binary("kubelet-stand-in").await?);
    let [build, agent_flag, kubelet_flag] = ["build", "--agent", "--kubelet"].map(OsStr::new);
    let programs = [agent_flag, agent.as_os_str(), kubelet_flag, kubelet.as_os_str()];
    let arguments = [build, disk.as_os_str()].into_iter().chain(programs);
    run_script("hack/disk-image", arguments.chain(options.iter().map(OsStr::new))).await?;
    let [disk_flag, kernel, cloud] = ["--disk", "--kernel", "cloud"].map(OsStr::new);
    let target = folder.path().as_os_str();
    run_script("hack/netboot-image", [build, target, disk_flag, disk.as_os_str(), kernel, cloud])
        .await?;
    std::fs::remove_file(disk)?;
    Ok(folder)
}
