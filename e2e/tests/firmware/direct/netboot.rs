//! The netboot image, built once, with a small disk image in it.

use anyhow::{Context, Result, ensure};
use e2e::cluster::workspace;
use std::{path::PathBuf, process::Stdio, time::Duration};
use tempfile::TempDir;
use tokio::{process::Command, sync::OnceCell, time::timeout};

/// Long enough for the installer to be compiled for size.
const BUILD: Duration = Duration::from_mins(20);

/// The disk image that is written to machines.
pub(super) const DISK_IMAGE: &str = "disk.img";

/// The folder with the files that metalman would serve.
pub(super) async fn netboot_image() -> PathBuf {
    static IMAGE: OnceCell<TempDir> = OnceCell::const_new();
    let folder = IMAGE.get_or_init(async || built().await.unwrap()).await;
    folder.path().join("amd64/disk")
}

/// A disk image that has no place for cloud-init.
pub(super) async fn bare_disk() -> Result<Vec<u8>> {
    let folder = tempfile::tempdir()?;
    let disk = folder.path().join("bare");
    let mut command = Command::new(workspace().join("e2e/tests/firmware/small-disk.sh"));
    run(command.arg(&disk).arg("other")).await?;
    Ok(std::fs::read(disk)?)
}

async fn built() -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let disk = folder.path().join("small");
    let mut command = Command::new(workspace().join("e2e/tests/firmware/small-disk.sh"));
    run(command.arg(&disk)).await?;
    let mut command = Command::new(workspace().join("hack/netboot-image"));
    command.arg("build").arg(folder.path()).args(["--arch", "amd64", "--kernel", "cloud"]);
    run(command.arg("--disk").arg(disk)).await?;
    Ok(folder)
}

async fn run(command: &mut Command) -> Result<()> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(BUILD, command.output()).await.context("it does not end")??;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", said.trim());
    Ok(())
}
