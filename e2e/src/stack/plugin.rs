//! The kubectl plugin, as a person runs it.

use crate::cluster::{Cluster, binary};
use anyhow::{Context, Result};
use std::{process::Stdio, time::Duration};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
    time::timeout,
};

/// How long a command may take.
const PATIENCE: Duration = Duration::from_mins(4);

/// What a command of the plugin has printed.
#[derive(Debug)]
pub struct Printed {
    /// Its exit code, if no signal has ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// The plugin with these arguments, to be started; it finds no kubeconfig unless it is given one.
///
/// # Errors
///
/// If there is no binary.
pub async fn plugin(args: &[&str]) -> Result<Command> {
    let mut command = Command::new(binary("kubectl-metal").await?);
    command.args(args).env_remove("KUBECONFIG").env("HOME", "/nonexistent");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    Ok(command)
}

/// Runs the plugin as the administrator, with this input.
///
/// # Errors
///
/// If it does not end.
pub async fn run_plugin(cluster: &Cluster, args: &[&str], input: &str) -> Result<Printed> {
    let kubeconfig = cluster.kubeconfig();
    let kubeconfig = kubeconfig.to_str().context("a path is text")?;
    let mut command = plugin(&[args, &["--kubeconfig", kubeconfig]].concat()).await?;
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().context("a child has a standard input")?;
    // One that does not read it says so itself, if that matters.
    stdin.write_all(input.as_bytes()).await.ok();
    drop(stdin);
    ended(child).await
}

/// Waits until a command of the plugin has ended.
///
/// # Errors
///
/// If it does not end.
pub async fn ended(child: Child) -> Result<Printed> {
    let output = timeout(PATIENCE, child.wait_with_output()).await.context("it goes on")??;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes);
    Ok(Printed { code: output.status.code(), out: text(output.stdout)?, err: text(output.stderr)? })
}
