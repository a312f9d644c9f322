//! `hack/netboot-image`: what it refuses.

use anyhow::{Context, Result, ensure};
use e2e::cluster::workspace;
use std::{fs, process::Stdio, time::Duration};
use tokio::{process::Command, time::timeout};

const LIMIT: Duration = Duration::from_mins(3);

#[tokio::test]
async fn what_cannot_be_built_or_pushed_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let qcow2 = file("qcow2", b"QFI\xfb\0\0\0\x03");
    let xz = file("xz", b"\xfd7zXZ\0");
    let (raw, empty) = (file("raw", &[0; 512]), file("empty", b""));
    let dir = folder.path().join("out");
    let dir = dir.to_str().unwrap();
    for (arguments, reason) in [
        (&["build", dir][..], "--disk FILE is missing"),
        (&["build", dir, "--disk", "/nowhere"], "--disk: /nowhere cannot be read"),
        (&["build", dir, "--disk", &qcow2], "convert it: qemu-img convert -O raw"),
        (&["build", dir, "--disk", &xz], "only gzip and zstd"),
        (&["build", dir, "--disk", &empty], "is empty"),
        (&["build", dir, "--disk", &raw, "--arch", "mips"], "--arch is amd64 or arm64"),
        (&["build", dir, "--disk", &raw, "--installer", "/nowhere"], "/nowhere is no program"),
        (&["build", dir, "--disk", &raw, "--cmdline", "a={{b}}"], "--cmdline: letters, digits"),
        (&["build", dir, "--disk", &raw, "--cmdline", "bloomery.install=x"], "is set by metalman"),
        (&["build", dir, "--disk", &raw, "--ca", "/nowhere"], "--ca: /nowhere cannot be read"),
        (&["build", dir, "--disk"], "hack/netboot-image build DIR"),
        (&["push", dir, "registry:5000/netboot"], "name a tag"),
        (&["push", dir, "registry/netboot:1"], "there is no image in"),
        (&["push-hosts", dir, "registry/netboot"], "name a tag"),
        (&["push-hosts", dir, "registry/netboot:1"], "there is no image in"),
        (&[], "hack/netboot-image push DIR"),
    ] {
        let error = run(arguments).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{arguments:?}: {error}");
    }
}

async fn run(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(workspace().join("hack/netboot-image"));
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(LIMIT, command.output()).await.context("it does not end")??;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", said.trim());
    Ok(())
}
