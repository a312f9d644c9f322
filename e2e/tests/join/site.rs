//! A metalman of a site of its own, which may be away for a while.

use crate::PATIENCE;
use anyhow::{Context, Result, ensure};
use e2e::{
    cluster::{Cluster, eventually},
    stack::metalman::{Metalman, condition, pxe},
};
use kube::{Api, Client};
use metal_api::{Machine, MachineAttestation, MachinePxe, MachineStatus};
use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};
use tokio::{process::Command, sync::Mutex};

/// From where a process on this host reaches loopback addresses: all machines are here, each of a site of
/// its own.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A metalman.
pub(crate) struct Site<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) client: Client,
    pub(crate) http: SocketAddr,
    kubeconfig: PathBuf,
    flags: Vec<String>,
    metalman: Mutex<Metalman>,
}

impl<'a> Site<'a> {
    /// A site whose metalman runs.
    pub(crate) async fn start(cluster: &'a Cluster) -> Result<Self> {
        Self::start_with(cluster, vec![]).await
    }

    /// The same, with these flags.
    pub(crate) async fn start_with(cluster: &'a Cluster, flags: Vec<String>) -> Result<Self> {
        let kubeconfig = Metalman::kubeconfig(cluster).await?;
        let metalman = Metalman::start_with(cluster, &kubeconfig, &flags).await?;
        let (client, http) = (metalman.client.clone(), metalman.http);
        Ok(Self { cluster, client, http, kubeconfig, flags, metalman: Mutex::new(metalman) })
    }

    /// Kills its metalman.
    pub(crate) async fn kill(&self) -> Result<()> {
        let mut metalman = self.metalman.lock().await;
        let id = metalman.process().id().context("it does not run")?.to_string();
        ensure!(Command::new("kill").args(["-9", &id]).status().await?.success());
        eventually(PATIENCE, async || {
            ensure!(metalman.process().check().is_err(), "it is still there");
            Ok(())
        })
        .await
    }

    /// Starts its metalman again.
    pub(crate) async fn start_again(&self) -> Result<()> {
        self.metalman.lock().await.kill_and_start_again(&self.kubeconfig, &self.flags).await
    }

    /// How many tokens it has given away.
    pub(crate) async fn tokens(&self) -> Result<usize> {
        let printed = self.metalman.lock().await.process().printed()?;
        Ok(printed.matches("token issued").count())
    }

    pub(crate) fn machines(&self) -> Api<Machine> {
        Api::all(self.client.clone())
    }

    /// Creates a Machine of this site, which has to prove this.
    pub(crate) async fn create(
        &self,
        name: &str,
        attestation: Option<MachineAttestation>,
    ) -> Result<()> {
        let pxe = MachinePxe { attestation, ..pxe(name, ADDRESS) };
        self.metalman.lock().await.create(name, pxe).await
    }

    /// Waits until the condition `Ready` of a Machine has this reason.
    pub(crate) async fn reason(&self, name: &str, reason: &str) -> Result<MachineStatus> {
        let metalman = self.metalman.lock().await;
        metalman.is(name, reason, |status| condition(status, "Ready") == Some(reason)).await
    }
}
