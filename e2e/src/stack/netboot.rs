//! netboot in a stack, with the configuration of a test.

use super::{Node, Operator, Stack, pod};
use anyhow::Result;
use std::{fs, path::Path, time::Duration};

const READY: Duration = Duration::from_mins(3);

impl Stack {
    /// Starts the pod of netboot's Deployment with this configuration and the stack's MAC prefix
    /// database; waits until it is ready.
    ///
    /// # Errors
    ///
    /// If it does not start; with the end of its log.
    pub async fn netboot(&self, config: &str) -> Result<Operator> {
        self.netboot_with(config, &[]).await
    }

    /// The same, with these flags in addition.
    ///
    /// # Errors
    ///
    /// If it does not start; with the end of its log.
    pub async fn netboot_with(&self, config: &str, flags: &[(&str, String)]) -> Result<Operator> {
        let deployment = self.overlay.named("Deployment", "netboot")?;
        let scratch = self.cluster.scratch();
        let node = Node::of_this_machine(&scratch);
        let netboot = pod(&self.cluster, &self.overlay, deployment, node).await?;
        let netboot = netboot.flag("--mac-prefixes-file", self.macdb.path().display());
        let add = |netboot: Operator, (name, value): &(&str, String)| netboot.flag(name, value);
        let netboot = flags.iter().fold(netboot, add);
        configure_netboot(&scratch, config)?;
        netboot.start()?;
        netboot.ready(READY).await?;
        Ok(netboot)
    }
}

/// Gives the netboot whose volumes are in `folder` this configuration, at once, as a kubelet does.
///
/// # Errors
///
/// If the file cannot be written.
pub fn configure_netboot(folder: &Path, config: &str) -> Result<()> {
    let volume = folder.join("netboot/config");
    let new = volume.join("new");
    fs::write(&new, config)?;
    Ok(fs::rename(new, volume.join("netboot.yaml"))?)
}
