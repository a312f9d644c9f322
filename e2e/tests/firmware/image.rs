//! The discovery image, built once for all tests that boot it by firmware.

use crate::keys;
use anyhow::{Context, Result, ensure};
use e2e::cluster::workspace;
use std::{path::Path, process::Stdio, time::Duration};
use tempfile::TempDir;
use tokio::{process::Command, sync::OnceCell, time::timeout};

/// Long enough for the agent to be compiled for size.
const BUILD: Duration = Duration::from_mins(20);

/// The authority that signs the boot service's certificate, which the image trusts. Its files are
/// next to the image.
pub(crate) const AUTHORITY: &str = "authority";

/// The folder with the output of `hack/discovery-image`.
pub(crate) async fn image() -> &'static Path {
    static IMAGE: OnceCell<TempDir> = OnceCell::const_new();
    IMAGE.get_or_init(async || built().await.unwrap()).await.path()
}

async fn built() -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    let target = folder.path().to_str().context("a temporary folder has a name")?;
    let mut command = Command::new(workspace().join("hack/discovery-image"));
    command.args(["build", target, "--arch", "amd64", "--kernel", "cloud"]);
    keys::authority(folder.path(), AUTHORITY)?;
    command.arg("--ca").arg(folder.path().join(AUTHORITY).with_extension("pem"));
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(BUILD, command.output()).await??;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", said.trim());
    Ok(folder)
}
