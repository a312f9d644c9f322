//! A network for each test: the test binary starts itself once more in a network namespace, for
//! this one test. So nothing has to be removed from this machine, however the test ends; where it
//! is not root, the namespace is in a user namespace.

mod link;

pub use link::Network;

use crate::cluster::workspace;
use anyhow::{Context, Result, ensure};
use std::{any::type_name, env, ffi::OsStr, process::Command};

/// The name by which libtest knows the test whose body is the closure `T`.
pub fn name_of<T>() -> &'static str {
    let path = type_name::<T>();
    let path = path.split_once("::{{closure}}").map_or(path, |(path, _)| path);
    path.split_once("::").map_or(path, |(_, path)| path)
}

/// Runs this one test of the test binary in a network namespace, with these variables, and returns
/// what it prints; `flags` are those by which `unshare` makes the namespace here, as
/// `network_flags` of `hack/lib.sh` prints them.
///
/// # Errors
///
/// If the test fails, or there is none of that name.
pub fn enter(test: &str, flags: &str, variables: &[(&str, &OsStr)]) -> Result<String> {
    // It does not outlive this one.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", flags]).arg(env::current_exe()?);
    command
        .args(["--exact", test, "--include-ignored", "--nocapture"])
        .envs(variables.iter().copied());
    let printed = run(&mut command)?;
    ensure!(printed.contains("1 passed"), "no test is named {test}: {printed}");
    Ok(printed)
}

/// What a script of this workspace prints.
///
/// # Errors
///
/// If it fails; with all that it said.
pub fn script(path: &str) -> Result<String> {
    run(&mut Command::new(workspace().join(path)))
}

/// `ip`, here.
///
/// # Errors
///
/// If it fails; with all that it said.
pub fn ip(words: &str) -> Result<()> {
    run(Command::new("ip").args(words.split(' '))).map(drop)
}

/// What a command prints, which must succeed.
///
/// # Errors
///
/// If it fails; with all that it said.
pub fn run(command: &mut Command) -> Result<String> {
    // What is missing has not been installed for this test, nor is it now.
    let output = command
        .output()
        .with_context(|| format!("{command:?}: where it is missing, run hack/prepare test"))?;
    let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    let status = output.status;
    ensure!(status.success(), "{command:?}: {status}\n{printed}\n{}", said.trim());
    Ok(printed)
}
