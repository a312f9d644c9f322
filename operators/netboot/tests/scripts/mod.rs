//! Runs the scripts in this folder, in which peers talk to netboot in separate namespaces.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::HashMap,
    ffi::OsStr,
    path::Path,
    process::{Command, Output},
};

/// The output of the script `name`, a word and a value per line; it gets netboot, the output of the
/// script `peers`, an empty folder, and `more`.
pub(crate) fn seen(
    name: &str,
    peers: &str,
    more: &[&OsStr],
) -> HashMap<&'static str, &'static str> {
    let peers = text(&script(peers).output().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut run = script(name);
    run.arg(env!("CARGO_BIN_EXE_netboot")).arg(peers).arg(folder.path()).args(more);
    // It lives as long as the test process.
    let seen: &'static str = text(&run.output().unwrap()).leak();
    seen.lines().filter_map(|line| line.split_once(' ')).collect()
}

fn script(name: &str) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    // Nothing here takes half as long.
    let mut command = Command::new("timeout");
    command.arg("300").arg(script);
    command
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
