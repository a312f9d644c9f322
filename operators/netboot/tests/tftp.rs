//! TFTP clients that we did not write: curl, atftp and tftp-hpa.

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
fn boot_files_reach_every_client_and_nothing_else_reaches_any() {
    let peers = text(&script("tftp-peers.sh").output().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let mut run = script("tftp.sh");
    run.arg(env!("CARGO_BIN_EXE_netboot")).arg(peers).arg(folder.path());
    let seen = text(&run.output().unwrap());
    let seen: HashMap<_, _> = seen.lines().filter_map(|line| line.split_once(' ')).collect();

    for word in
        ["curl-512", "curl-1468", "curl-65464", "curl-plain", "second-address", "v6", "tftp-hpa"]
    {
        assert_eq!(seen[word], "same", "{word}: {seen:?}");
    }
    for word in ["atftp-1", "atftp-4", "atftp-16", "atftp-64"] {
        assert_eq!(seen[word], "same", "{word}: {seen:?}");
    }
    assert_eq!(seen["unknown"], "68", "{seen:?}");
    for word in ["absolute", "upwards", "write", "link", "folder"] {
        assert_eq!(seen[word], "69", "{word}: {seen:?}");
    }
    assert_eq!(seen["told"], "6", "every refusal names client and file: {seen:?}");
    assert_eq!((seen["ready"], seen["active"]), ("1", "0"), "{seen:?}");
    assert_eq!((seen["transfers"], seen["not-found"], seen["violations"]), ("11", "1", "5"));
    assert_eq!(seen["ended"], "0", "{seen:?}");
}
