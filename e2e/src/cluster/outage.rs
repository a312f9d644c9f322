//! An API server that goes away and comes back.

use super::{Cluster, KUBECTL, Process, eventually, run};
use anyhow::{Context, Result, ensure};
use metal_base::Locked;
use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt, path::Path, sync::Mutex, time::Duration};
use tokio::process::Command;

const LIMIT: Duration = Duration::from_mins(2);
/// What `hack/control-plane` calls it.
const NAME: &str = "apiserver";

/// The process that runs in place of the API server that the control plane was started with.
#[derive(Debug, Default)]
pub(super) struct Replacement(Mutex<Option<Process>>);

/// A stopped API server, and how it was started.
#[derive(Debug)]
#[must_use = "the API server is gone until `end` is called"]
pub struct Outage<'a> {
    cluster: &'a Cluster,
    command: Command,
}

impl Cluster {
    /// Kills the API server, as `kill -9` does. Its data stays in etcd.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub async fn outage(&self) -> Result<Outage<'_>> {
        let id = fs::read_to_string(self.folder.join(NAME).with_extension("pid"))?;
        let id = id.trim();
        let process = Path::new("/proc").join(id);
        let words = fs::read(process.join("cmdline")).context("the API server has ended")?;
        let words = words.strip_suffix(b"\0").context("the API server has ended")?;
        let mut words = words.split(|byte| *byte == 0).map(OsStr::from_bytes);
        let mut command = Command::new(words.next().context("a command has a name")?);
        command.args(words).current_dir(&self.folder);
        run(Command::new("kill").args(["-9", id]), "", KUBECTL).await?;
        eventually(LIMIT, async || {
            // Its parent may not have reaped it yet: then it is a zombie.
            let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
            ensure!(stat.is_empty() || stat.contains(") Z "), "the API server is still there");
            Ok(())
        })
        .await?;
        Ok(Outage { cluster: self, command })
    }
}

impl Outage<'_> {
    /// Starts the API server again, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// If it does not get ready.
    pub async fn end(mut self) -> Result<()> {
        let log = self.cluster.folder.join(NAME).with_extension("log");
        // Its pid goes where `hack/control-plane` looks for it.
        let process = Process::start(&mut self.command, log)?;
        let replacement = &self.cluster.replacement.0;
        *replacement.locked() = Some(process);
        eventually(LIMIT, async || self.cluster.kubectl(&["get", "--raw", "/readyz"]).await)
            .await
            .map(drop)
    }
}
