//! The MAC prefix database of a stack.

use anyhow::Result;
use metal_base::Locked;
use metal_simulator::{Account, MacPrefix};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

/// A prefix whose BMCs answer on this port.
#[derive(Clone, Debug)]
pub struct Prefix {
    macs: MacPrefix,
    port: u16,
    account: Account,
}

impl Prefix {
    /// A prefix with plain HTTP, and these initial credentials.
    pub fn new(macs: MacPrefix, port: u16, account: Account) -> Self {
        Self { macs, port, account }
    }

    fn entry(&self) -> Value {
        let mac = self.macs.with(0).to_string();
        let Account { username, password } = &self.account;
        json!({
            "macPrefix": mac.get(..8).unwrap_or(&mac),
            "manufacturer": "Contoso",
            "protocol": "Redfish",
            "protocolScheme": "http",
            "port": self.port,
            "type": "bmc",
            "defaultCredentials": [{ "username": username, "password": password }],
        })
    }
}

/// The file, which metal-operator watches.
#[derive(Debug)]
pub struct MacDb {
    path: PathBuf,
    prefixes: Mutex<Vec<Prefix>>,
}

impl MacDb {
    /// Creates the file with these prefixes.
    pub(super) async fn create(path: PathBuf, prefixes: Vec<Prefix>) -> Result<Self> {
        let macdb = Self { path, prefixes: Mutex::new(prefixes) };
        macdb.write().await?;
        Ok(macdb)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a prefix.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub async fn add(&self, prefix: Prefix) -> Result<()> {
        self.prefixes.locked().push(prefix);
        self.write().await
    }

    /// Replaces the file atomically. JSON is valid YAML.
    async fn write(&self) -> Result<()> {
        let entries: Vec<_> = {
            let prefixes = self.prefixes.locked();
            prefixes.iter().map(Prefix::entry).collect()
        };
        let new = self.path.with_extension("new");
        tokio::fs::write(&new, json!({ "macPrefixes": entries }).to_string()).await?;
        Ok(tokio::fs::rename(new, &self.path).await?)
    }
}
