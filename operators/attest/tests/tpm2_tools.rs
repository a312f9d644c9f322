//! An independent client: tpm2-tools with swtpm open what was sealed for them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::{Engine, engine::general_purpose::STANDARD};
use metal_attest::{Request, Response, seal};
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    rand::SystemRandom,
};
use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long a TPM may take to start.
const PATIENCE: Duration = Duration::from_mins(1);

/// The attributes of the agent's SRK, in the terms of tpm2-tools: the TCG's template.
const SRK: &str = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt";

#[test]
fn a_tpm_opens_what_was_sealed_for_its_rsa_key() {
    opens_what_was_sealed("rsa", "rsa2048:null:aes128cfb");
}

#[test]
fn a_tpm_opens_what_was_sealed_for_its_ecc_key() {
    opens_what_was_sealed("ecc", "ecc256:null:aes128cfb");
}

#[test]
fn a_tpm_opens_nothing_that_was_sealed_for_another() {
    let (ours, theirs) = (Tpm::start(), Tpm::start());
    let request = ours.request("rsa", "rsa2048:null:aes128cfb");
    theirs.request("rsa", "rsa2048:null:aes128cfb");
    let sealed = seal(&request, b"secret", &SystemRandom::new()).unwrap();
    theirs.keep(&sealed.into_response(None));
    assert!(!theirs.activates());
}

fn opens_what_was_sealed(ek: &str, srk: &str) {
    let tpm = Tpm::start();
    let request = tpm.request(ek, srk);
    let sealed = seal(&request, b"header.payload.signature", &SystemRandom::new()).unwrap();
    let response = sealed.into_response(None);
    tpm.keep(&response);
    assert!(tpm.activates());
    let key = UnboundKey::new(&AES_256_GCM, &tpm.read("credential")).unwrap();
    let nonce = decoded(&response.gcm_nonce).try_into().unwrap();
    let mut token = decoded(&response.encrypted_token);
    let nonce = Nonce::assume_unique_for_key(nonce);
    let token = LessSafeKey::new(key).open_in_place(nonce, Aad::empty(), &mut token).unwrap();
    assert_eq!(token, b"header.payload.signature");
}

/// A software TPM, with its keys.
struct Tpm {
    folder: TempDir,
    process: Child,
}

impl Tpm {
    #[expect(clippy::disallowed_methods, reason = "there is no runtime here to block")]
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let process = command("swtpm")
            .args(["socket", "--tpm2", "--flags", "startup-clear"])
            .args(["--tpmstate", &format!("dir={}", folder.path().display())])
            // tpm2-tools expect the second socket under this name.
            .args(["--server", &format!("type=unixio,path={}", at("tpm"))])
            .args(["--ctrl", &format!("type=unixio,path={}", at("tpm.ctrl"))])
            .spawn()
            .expect("swtpm is missing: hack/prepare test");
        let tpm = Self { folder, process };
        let begun = Instant::now();
        while !(tpm.path("tpm").exists() && tpm.path("tpm.ctrl").exists()) {
            assert!(begun.elapsed() < PATIENCE, "swtpm does not come up");
            sleep(Duration::from_millis(10));
        }
        tpm
    }

    /// Creates its keys, and a request with their public parts.
    fn request(&self, ek: &str, srk: &str) -> Request {
        self.run("tpm2_createek", &["-G", ek, "-c", "ek", "-u", "ek.pub", "-f", "tss"]);
        self.run("tpm2_createprimary", &["-C", "o", "-G", srk, "-a", SRK, "-c", "srk"]);
        self.run("tpm2_readpublic", &["-c", "srk", "-f", "tss", "-o", "srk.pub"]);
        let [ek, srk] = ["ek.pub", "srk.pub"].map(|name| STANDARD.encode(self.read(name)));
        let body = format!(r#"{{"ekPub":"{ek}","srkPub":"{srk}"}}"#);
        Request::parse(body.as_bytes()).unwrap()
    }

    /// Writes a response in the format of tpm2-tools: with a magic number and a version in front.
    fn keep(&self, response: &Response) {
        let head = [0xba, 0xdc, 0xc0, 0xde, 0, 0, 0, 1];
        let (blob, secret) =
            (decoded(&response.credential_blob), decoded(&response.encrypted_secret));
        fs::write(self.path("wrapped"), [&head[..], &blob, &secret].concat()).unwrap();
    }

    /// Whether the TPM unwraps the written response.
    fn activates(&self) -> bool {
        self.run("tpm2_startauthsession", &["--policy-session", "-S", "session"]);
        self.run("tpm2_policysecret", &["-S", "session", "-c", "e"]);
        let keys = ["-c", "srk", "-C", "ek", "-P", "session:session"];
        let files = ["-i", "wrapped", "-o", "credential"];
        self.succeeds("tpm2_activatecredential", &[&keys[..], &files].concat())
    }

    fn run(&self, tool: &str, args: &[&str]) {
        assert!(self.succeeds(tool, args), "{tool} {args:?} failed");
    }

    /// Runs a tool, and flushes what it left loaded in the TPM, which has room for three objects.
    fn succeeds(&self, tool: &str, args: &[&str]) -> bool {
        let succeeded = self.tool(tool, args);
        self.tool("tpm2_flushcontext", &["-t"]);
        succeeded
    }

    fn tool(&self, tool: &str, args: &[&str]) -> bool {
        let socket = format!("swtpm:path={}", self.path("tpm").display());
        let mut tool = command(tool);
        tool.args(args).current_dir(&self.folder).env("TPM2TOOLS_TCTI", socket);
        tool.status().expect("tpm2-tools are missing: hack/prepare test").success()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.folder.path()).join(name)
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        self.process.kill().ok(); // It may be gone.
        self.process.wait().ok();
    }
}

fn command(name: &str) -> Command {
    let mut command = Command::new(name);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn decoded(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}
