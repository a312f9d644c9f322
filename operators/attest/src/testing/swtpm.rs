//! A TPM in software, as a process of its own, and tpm2-tools that talk to it.

#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "for tests, which fail by panicking"
)]

use base64::{Engine, engine::general_purpose::STANDARD};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The attributes of the agent's SRK, in the terms of tpm2-tools: the TCG's template.
const SRK: &str = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt";

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
    pub fn start() -> Self {
        Self::start_in(TempDir::new().unwrap())
    }

    /// Starts the one whose state is in a folder, or a new one.
    #[expect(clippy::disallowed_methods, reason = "it is for a moment, and not in a runtime's way")]
    pub(super) fn start_in(folder: TempDir) -> Self {
        let at = |name: &str| folder.path().join(name).display().to_string();
        let mut command = Command::new("swtpm");
        command
            .args(["socket", "--tpm2", "--flags", "startup-clear"])
            .args(["--tpmstate", &format!("dir={}", folder.path().display())])
            // tpm2-tools expect the second socket under this name.
            .args(["--server", &format!("type=unixio,path={}", at("tpm"))])
            .args(["--ctrl", &format!("type=unixio,path={}", at("tpm.ctrl"))]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().expect("swtpm is missing: hack/prepare unit");
        let tpm = Self { folder, process };
        let begun = Instant::now();
        while !(is_listening(&tpm.path("tpm")) && is_listening(&tpm.path("tpm.ctrl"))) {
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
        self.read("ek.pub")
    }

    /// The body of a request with its keys as tpm2-tools create them, `rsa` or `ecc`, and these certificates,
    /// each in DER.
    pub fn body(&self, algorithm: &str, certificates: &[Vec<u8>]) -> String {
        let srk =
            format!("{}:null:aes128cfb", if algorithm == "rsa" { "rsa2048" } else { "ecc256" });
        let run = |tool: &str, args: &[&str]| {
            self.tpm2(tool, args);
            // It has room for three objects.
            self.tpm2("tpm2_flushcontext", &["-t"]);
        };
        run("tpm2_createek", &["-G", algorithm, "-c", "ek", "-u", "ek.pub", "-f", "tss"]);
        run("tpm2_createprimary", &["-C", "o", "-G", &srk, "-a", SRK, "-c", "srk"]);
        run("tpm2_readpublic", &["-c", "srk", "-f", "tss", "-o", "srk.pub"]);
        let [ek, srk] = ["ek.pub", "srk.pub"].map(|name| STANDARD.encode(self.read(name)));
        let certificates: Vec<_> = certificates.iter().map(|it| STANDARD.encode(it)).collect();
        let body = serde_json::json!({"ekPub": ek, "srkPub": srk, "ekCertificates": certificates});
        body.to_string()
    }

    /// The certificate of its RSA key in its NV memory, in DER.
    pub fn certificate(&self) -> Vec<u8> {
        self.tpm2("tpm2_nvread", &["0x01c00002"]).stdout
    }

    /// Writes an area of its NV memory.
    pub fn write_nv(&self, index: &str, content: &[u8]) {
        self.write("area", content);
        self.tpm2("tpm2_nvdefine", &[index, "-C", "o", "-s", &content.len().to_string()]);
        self.tpm2("tpm2_nvwrite", &[index, "-C", "o", "-i", "area"]);
    }

    /// What is loaded: keys that somebody has left.
    pub fn loaded(&self) -> String {
        let printed = self.tpm2("tpm2_getcap", &["handles-transient"]).stdout;
        String::from_utf8(printed).unwrap()
    }

    /// Runs one of tpm2-tools, which has to succeed.
    pub fn tpm2(&self, tool: &str, args: &[&str]) -> Output {
        let output = self.try_tpm2(tool, args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{tool} {args:?}: {said}");
        output
    }

    /// Runs one of tpm2-tools, in a folder of this TPM.
    pub fn try_tpm2(&self, tool: &str, args: &[&str]) -> Output {
        let socket = format!("swtpm:path={}", self.path("tpm").display());
        let mut command = Command::new(tool);
        command.args(args).current_dir(&self.folder).env("TPM2TOOLS_TCTI", socket);
        let output = command.stdin(Stdio::null()).output();
        output.expect("tpm2-tools are missing: hack/prepare unit")
    }

    /// Reads a file that a tool has written.
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Writes a file for a tool.
    pub fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Whether a socket takes connections: between the moments in which its file is there and in which it does, they are
/// refused. `/proc/net/unix` has it as a flag (`__SO_ACCEPTCON`), so nobody need connect.
fn is_listening(socket: &Path) -> bool {
    let path = format!(" {}", socket.display());
    let sockets = fs::read_to_string("/proc/net/unix").unwrap();
    sockets.lines().any(|line| line.ends_with(&path) && line.contains(" 00010000 "))
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        self.process.kill().ok(); // It may be gone.
        self.process.wait().ok();
    }
}
