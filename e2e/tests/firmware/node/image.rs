//! The netboot image, with a disk image in it, built once for all tests that install machines.

use anyhow::{Context, Result, ensure};
use e2e::cluster::{binary, workspace};
use std::{ffi::OsStr, path::Path, process::Stdio, time::Duration};
use tempfile::TempDir;
use tokio::{process::Command, sync::OnceCell, time::timeout};

/// Long enough for what is in it to be compiled for size.
const BUILD: Duration = Duration::from_mins(30);

/// The folder with the output of `hack/netboot-image`.
pub(crate) async fn image() -> &'static Path {
    static IMAGE: OnceCell<TempDir> = OnceCell::const_new();
    IMAGE.get_or_init(async || built().await.unwrap()).await.path()
}

async fn built() -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let disk = folder.path().join("disk.img");
    // Those of this build will do: the disk has the C library of this machine's Debian.
    let (agent, kubelet) = (binary("metal-agent").await?, binary("kubelet-stand-in").await?);
    let [build, agent_flag, kubelet_flag] = ["build", "--agent", "--kubelet"].map(OsStr::new);
    let programs = [agent_flag, agent.as_os_str(), kubelet_flag, kubelet.as_os_str()];
    let [a, b, c, d] = programs;
    run("hack/disk-image", [build, disk.as_os_str(), a, b, c, d]).await?;
    let [disk_flag, kernel, cloud] = ["--disk", "--kernel", "cloud"].map(OsStr::new);
    let target = folder.path().as_os_str();
    run("hack/netboot-image", [build, target, disk_flag, disk.as_os_str(), kernel, cloud]).await?;
    std::fs::remove_file(disk)?;
    Ok(folder)
}

/// Runs a script of ours.
pub(crate) async fn run<const N: usize>(script: &str, arguments: [&OsStr; N]) -> Result<()> {
    let mut command = Command::new(workspace().join(script));
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(BUILD, command.output()).await.context("it does not end")??;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{script}: {}", said.trim());
    Ok(())
}
