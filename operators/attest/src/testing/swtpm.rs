//! A TPM in software, as a process of its own, and tpm2-tools that talk to it.

#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "for tests, which fail by panicking"
)]

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_mins(1);

/// A software TPM, which ends with the test.
#[derive(Debug)]
pub struct Swtpm {
    folder: TempDir,
    process: Child,
}

impl Swtpm {
    /// Starts one that was never used.
    #[expect(clippy::disallowed_methods, reason = "it is for a moment, and not in a runtime's way")]
    pub fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let mut command = Command::new("swtpm");
        command
            .args(["socket", "--tpm2", "--flags", "startup-clear"])
            .args(["--tpmstate", &format!("dir={}", folder.path().display())])
            // tpm2-tools expect the second socket under this name.
            .args(["--server", &format!("type=unixio,path={}", at("tpm"))])
            .args(["--ctrl", &format!("type=unixio,path={}", at("tpm.ctrl"))]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().expect("swtpm is missing: hack/prepare test");
        let tpm = Self { folder, process };
        let begun = Instant::now();
        while !(tpm.path("tpm").exists() && tpm.path("tpm.ctrl").exists()) {
            assert!(begun.elapsed() < PATIENCE, "swtpm does not come up");
            sleep(Duration::from_millis(10));
        }
        tpm
    }

    /// The socket of its command channel.
    pub fn socket(&self) -> PathBuf {
        self.path("tpm")
    }

    /// TPM2B_PUBLIC of the endorsement key that tpm2-tools create.
    pub fn tpm2_ek(&self) -> Vec<u8> {
        self.tpm2("tpm2_createek", &["-G", "rsa", "-c", "ek", "-u", "ek.pub", "-f", "tss"]);
        fs::read(self.path("ek.pub")).unwrap()
    }

    /// What is loaded: keys that somebody has left.
    pub fn loaded(&self) -> String {
        let printed = self.tpm2("tpm2_getcap", &["handles-transient"]).stdout;
        String::from_utf8(printed).unwrap()
    }

    /// Runs one of tpm2-tools.
    pub fn tpm2(&self, tool: &str, args: &[&str]) -> Output {
        let socket = format!("swtpm:path={}", self.path("tpm").display());
        let mut command = Command::new(tool);
        command.args(args).current_dir(&self.folder).env("TPM2TOOLS_TCTI", socket);
        let output = command.stdin(Stdio::null()).output();
        let output = output.expect("tpm2-tools are missing: hack/prepare test");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{tool} {args:?}: {said}");
        output
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        self.process.kill().ok(); // It may be gone.
        self.process.wait().ok();
    }
}
