//! A network of its own, in which machines can ask for their addresses.
//!
//! ```text
//!   here: API server, registry, metalman 10.90.0.1 ──── near ──── 10.90.0.2 machines 10.90.128.0/17
//! ```

use super::machines::{Args, Load};
use anyhow::{Context, Result, ensure};
use e2e::{
    cluster::{Cluster, workspace},
    namespace::{Network, ip},
};
use std::{
    env,
    net::Ipv4Addr,
    process::{Command, Stdio},
    time::Duration,
};
use tokio::time::timeout;

/// Set inside.
const INSIDE: &str = "BLOOMERY_BENCH_NETWORK";
pub(super) const DEVICE: &str = "near";
pub(super) const OWN: Ipv4Addr = Ipv4Addr::new(10, 90, 0, 1);
pub(super) const FIRST: Ipv4Addr = Ipv4Addr::new(10, 90, 128, 1);
/// How long a process may take to start and to print, beyond its own limit.
const MORE: Duration = Duration::from_mins(1);

/// Whether this process has a network of its own.
pub(super) fn is_own() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Runs this program again in a network of its own, where this machine allows one; its exit code. `None`
/// inside, and where it does not.
pub(crate) fn enter() -> Result<Option<i32>> {
    if is_own() {
        ip("link set lo up")?;
        return Ok(None);
    }
    let lib = workspace().join("hack/lib.sh");
    let script = format!(". {} && network_flags", lib.display());
    let flags = Command::new("bash").args(["-c", &script]).stderr(Stdio::inherit()).output()?;
    if !flags.status.success() {
        eprintln!("no network of its own: addresses are not asked for, and are those of loopback");
        return Ok(None);
    }
    let flags = String::from_utf8(flags.stdout)?;
    // It must not outlive this process.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", flags.trim()]).arg(env::current_exe()?);
    let status = command.args(env::args_os().skip(1)).env(INSIDE, "1").status()?;
    Ok(Some(status.code().unwrap_or(1)))
}

/// Where the machines are.
pub(super) async fn of_machines(cluster: &Cluster) -> Result<Network> {
    let network = Network::new(cluster, "machines").await?;
    network.link(DEVICE, &format!("{OWN}/16"))?;
    network.ip(&format!("address add 10.90.0.2/16 dev {DEVICE}"))?;
    // All of these are addresses of that side, behind one neighbor.
    network.ip("route add local 10.90.128.0/17 dev lo")?;
    ip(&format!("route add 10.90.128.0/17 via 10.90.0.2 dev {DEVICE}"))?;
    Ok(network)
}

/// Boots the machines from there, in a process of their own.
pub(super) async fn boot(network: &Network, args: &Args) -> Result<Load> {
    let mut command = network.command(&env::current_exe()?);
    command.arg("metalman-machines").arg(format!("--machines={}", args.machines));
    command.arg(format!("--first={}", args.first)).arg(format!("--http={}", args.http));
    command.arg(format!("--tftp={}", args.tftp)).arg(format!("--device={DEVICE}"));
    command.arg(format!("--limit={}s", args.limit.as_secs()));
    command.stdin(Stdio::null()).stderr(Stdio::inherit()).stdout(Stdio::piped());
    let output = command.kill_on_drop(true).spawn()?.wait_with_output();
    let output = timeout(args.limit + MORE, output).await.context("--limit")??;
    ensure!(output.status.success(), "the machines: {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}
