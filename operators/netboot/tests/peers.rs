//! Clients and relays that we did not write: Debian's dhclient and dhcrelay.

use std::{
    collections::HashMap,
    path::Path,
    process::{Command, Output},
};

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

#[test]
fn dhclient_gets_its_lease_directly_and_behind_dhcrelay() {
    let peers = text(&script("peers.sh").output().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut run = script("namespaces.sh");
    run.arg(env!("CARGO_BIN_EXE_netboot")).arg(peers).arg(folder.path());
    let seen = text(&run.output().unwrap());
    let seen: HashMap<_, _> = seen.lines().filter_map(|line| line.split_once(' ')).collect();

    let direct = seen["client"];
    assert!(direct.starts_with("10.77.0.1"), "{seen:?}");
    assert!(seen["remote"].starts_with("10.88.0.1"), "{seen:?}");
    assert_eq!(seen["script"], format!("BOUND {direct} 10.77.0.1 10.77.0.3"));
    assert_eq!(seen["again"], direct, "the lease survived kill -9: {seen:?}");
    assert_eq!(seen["discovers"], "0", "the address was confirmed at once: {seen:?}");
    assert_eq!(seen["released"], direct, "{seen:?}");
    assert_eq!(seen["ended"], "0", "{seen:?}");
}
