//! A manufacturer of TPMs, which issues certificates for them: swtpm_setup, with an authority of its own.

#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "for tests, which fail by panicking"
)]

use super::Swtpm;
use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// A maker of TPMs, with a root, and a certificate between that and those of its TPMs.
#[derive(Debug)]
pub struct Maker(TempDir);

impl Default for Maker {
    fn default() -> Self {
        Self::new()
    }
}

impl Maker {
    /// One that has made none yet.
    pub fn new() -> Self {
        let maker = Self(TempDir::new().unwrap());
        let at = |name: &str| maker.path(name).display().to_string();
        let write = |name: &str, lines: &[String]| {
            fs::write(maker.path(name), lines.join("\n") + "\n").unwrap();
        };
        write(
            "setup.conf",
            &[
                "create_certs_tool=swtpm_localca".to_owned(),
                format!("create_certs_tool_config={}", at("authority.conf")),
                format!("create_certs_tool_options={}", at("authority.options")),
            ],
        );
        write(
            "authority.conf",
            &[
                format!("statedir = {}", maker.0.path().display()),
                format!("signingkey = {}", at("key.pem")),
                format!("issuercert = {}", at("between.pem")),
                format!("certserial = {}", at("serial")),
            ],
        );
        write(
            "authority.options",
            &["--platform-manufacturer Maker --platform-model Model --platform-version 1"
                .to_owned()],
        );
        maker
    }

    /// Makes a TPM, with the certificate of its RSA key in its NV memory, and starts it.
    pub fn tpm(&self) -> Swtpm {
        let folder = TempDir::new().unwrap();
        let mut setup = Command::new("swtpm_setup");
        setup.args(["--tpm2", "--create-ek-cert", "--tpmstate"]).arg(folder.path());
        setup.arg("--config").arg(self.path("setup.conf")).stdin(Stdio::null());
        let made = setup.output().expect("swtpm_setup is missing: hack/prepare unit");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        Swtpm::start_in(folder)
    }

    /// Its root, which has signed the certificate [`between`](Self::between), in PEM. Both are there
    /// when it has made a TPM.
    pub fn root(&self) -> PathBuf {
        self.path("swtpm-localca-rootca-cert.pem")
    }

    /// The certificate that has signed those of its TPMs, in PEM.
    pub fn between(&self) -> PathBuf {
        self.path("between.pem")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}
