//! A network for each test: the test binary runs itself again in a network namespace, for a single
//! test. That way nothing is left on this machine, however the test ends. Where the test binary is
//! not run as root, the namespace is in a user namespace.

mod link;
mod peers;

pub use link::Network;
pub use peers::{Links, Tools, with_peers};

use crate::cluster::workspace;
use anyhow::{Context, Result, ensure};
use std::{any::type_name, env, ffi::OsStr, process::Command};

/// The libtest name of the test whose body is the closure `T`.
pub fn name_of<T>() -> &'static str {
    let path = type_name::<T>();
    let path = path.split_once("::{{closure}}").map_or(path, |(path, _)| path);
    path.split_once("::").map_or(path, |(_, path)| path)
}

/// Runs a single test of this test binary in a network namespace, with these variables, and returns
/// what it prints; `flags` are those with which `unshare` makes a namespace on this machine, as
/// printed by `network_flags` of `hack/lib.sh`.
///
/// # Errors
///
/// If the test fails, or there is no such test.
pub fn enter(test: &str, flags: &str, variables: &[(&str, &OsStr)]) -> Result<String> {
    // The child must not outlive this process.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", flags]).arg(env::current_exe()?);
    command
        .args(["--exact", test, "--include-ignored", "--nocapture"])
        .envs(variables.iter().copied());
    let printed = run(&mut command)?;
    ensure!(printed.contains("1 passed"), "no test is named {test}: {printed}");
    Ok(printed)
}

/// Runs a script of this workspace, and returns what it prints.
///
/// # Errors
///
/// If it fails; with its output.
pub fn script(path: &str) -> Result<String> {
    run(&mut Command::new(workspace().join(path)))
}

/// Runs `ip` in the current namespace.
///
/// # Errors
///
/// If it fails; with its output.
pub fn ip(words: &str) -> Result<()> {
    run(Command::new("ip").args(words.split(' '))).map(drop)
}

/// Runs a command, and returns what it prints.
///
/// # Errors
///
/// If it fails; with its output.
pub fn run(command: &mut Command) -> Result<String> {
    // Tests install nothing: the error says how to.
    let output = command
        .output()
        .with_context(|| format!("{command:?}: where it is missing, run hack/prepare test"))?;
    let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    let status = output.status;
    ensure!(status.success(), "{command:?}: {status}\n{printed}\n{}", said.trim());
    Ok(printed)
}
