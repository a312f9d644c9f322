//! netboot as a process.

use super::registry::client;
use crate::cluster::{Process, eventually};
use anyhow::{Context, Result, ensure};
use std::{path::Path, process::Stdio, time::Duration};
use tokio::process::Command;

const LIMIT: Duration = Duration::from_mins(1);
/// Health address of the first instance in a network namespace.
pub const HEALTH: &str = "127.0.0.1:8081";

/// Starts this netboot binary with the configuration `netboot.yaml` in `folder`, where its log
/// goes, and these flags; waits until it is ready.
///
/// # Errors
///
/// If it is not ready in time; with the end of its log.
pub async fn netboot(binary: &Path, folder: &Path, flags: &[String]) -> Result<Process> {
    netboot_as("netboot", HEALTH, binary, folder, flags).await
}

/// Like [`netboot`], for one of several instances: the names of its files contain `name`, and its
/// health is at `health`.
///
/// # Errors
///
/// If it is not ready in time; with the end of its log.
pub async fn netboot_as(
    name: &str,
    health: &str,
    binary: &Path,
    folder: &Path,
    flags: &[String],
) -> Result<Process> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(binary).args(flags);
    command.arg(format!("--config={}", folder.join(format!("{name}.yaml")).display()));
    command.arg(format!("--health-probe-bind-address={health}"));
    command.args(["--metrics-bind-address=0"]).stdin(Stdio::null()).env("NO_COLOR", "1");
    let mut process = Process::start(&mut command, folder.join(format!("{name}.log")))?;
    let http = client()?;
    eventually(LIMIT, async || {
        process.check()?;
        let answer = http.get(format!("http://{health}/readyz")).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{status}: {text}");
        Ok(())
    })
    .await
    .with_context(|| name.to_owned())?;
    Ok(process)
}
