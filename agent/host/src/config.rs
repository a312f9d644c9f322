//! What the installation left on the disk.

use crate::files;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The file that the installer has written.
#[derive(Clone, Deserialize, Serialize)]
pub(crate) struct Config {
    pub(crate) server: String,
    pub(crate) namespace: String,
    pub(crate) host: String,
    /// The registration credential; removed once this host is registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) credential: Option<String>,
    /// Whether it has to prove its TPM to register.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) tpm: bool,
}

impl Config {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let name = path.display();
        let text = files::read(path)?.with_context(|| format!("there is no {name}"))?;
        let config: Self = serde_json::from_slice(&text).with_context(|| name.to_string())?;
        let is_url = ["https://", "http://"].iter().any(|it| config.server.starts_with(it));
        ensure!(is_url, "{name}: server: give a URL like https://hosts.example.org");
        Ok(config)
    }

    /// `NAMESPACE/NAME`.
    pub(crate) fn host(&self) -> String {
        format!("{}/{}", self.namespace, self.host)
    }

    /// Forgets the registration credential, which is of no use any more.
    pub(crate) fn registered(&mut self, path: &Path) -> Result<()> {
        self.credential = None;
        files::write(path, &serde_json::to_vec_pretty(self)?)
    }
}
