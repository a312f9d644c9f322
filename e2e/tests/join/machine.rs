//! An installed machine: its TPM, the configuration that cloud-init wrote, and the agent.

use crate::{
    PATIENCE,
    site::{ADDRESS, Site},
};
use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use e2e::cluster::{Process, binary, eventually, unique};
use kube::config::Kubeconfig;
use metal_api::MachineAttestation;
use metal_attest::testing::{FirmwareLog, Swtpm};
use serde_json::{Value, json};
use std::{
    fs,
    path::PathBuf,
    process::{ExitStatus, Stdio},
};
use tokio::{process::Command, time::timeout};

/// A machine, on which nothing runs yet.
pub(crate) struct Installed<'a> {
    pub(crate) site: &'a Site<'a>,
    pub(crate) name: String,
    pub(crate) tpm: Swtpm,
    folder: PathBuf,
    starts: u32,
}

impl<'a> Installed<'a> {
    /// One with a TPM that was never used, and a Machine.
    pub(crate) async fn new(site: &'a Site<'a>) -> Result<Self> {
        Self::with(site, Swtpm::start(), None).await
    }

    /// One with this TPM, and a Machine that has to prove this.
    pub(crate) async fn with(
        site: &'a Site<'a>,
        tpm: Swtpm,
        attestation: Option<MachineAttestation>,
    ) -> Result<Self> {
        let name = unique("node");
        site.create(&name, attestation).await?;
        let folder = site.cluster.scratch().join(unique("machine"));
        fs::create_dir(&folder)?;
        let machine = Self { site, name, tpm, folder, starts: 0 };
        let authorities = fs::read(site.cluster.folder().join("ca.crt"))?;
        machine.configure(&STANDARD.encode(authorities))?;
        Ok(machine)
    }

    /// Writes the agent's configuration, with these authorities.
    pub(crate) fn configure(&self, authorities: &str) -> Result<()> {
        let config = Kubeconfig::read_from(self.site.cluster.kubeconfig())?;
        let cluster = config.clusters.first().and_then(|it| it.cluster.as_ref());
        let server = cluster.and_then(|it| it.server.as_deref()).context("it has a server")?;
        let config: Value = json!({
            "MachineName": self.name,
            "Cluster": {"CaCertBase64": authorities, "ClusterDNS": "10.96.0.10", "Version": "v1.36.0"},
            "Kubelet": {"ApiServer": server, "Auth": {}, "Labels": {}, "RegisterWithTaints": null},
            "CRI": {"Containerd": {}, "Runc": {}},
            "CNI": {},
            "Attest": {"URL": format!("http://{}", self.site.http)},
        });
        Ok(fs::write(self.folder.join("agent.json"), config.to_string())?)
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubelet/kubeconfig")
    }

    pub(crate) fn pem(&self) -> PathBuf {
        self.folder.join("kubelet/kubeconfig.pem")
    }

    /// The first certificate in the file beside the kubeconfig.
    pub(crate) fn certificate(&self) -> Result<String> {
        let text = fs::read_to_string(self.pem())?;
        let end = "-----END CERTIFICATE-----\n";
        let at = text.find(end).context("no certificate")?;
        Ok(text[..at + end.len()].to_owned())
    }

    fn event_log(&self) -> PathBuf {
        self.folder.join("binary_bios_measurements")
    }

    /// Writes the event log of its firmware.
    pub(crate) fn keep_event_log(&self, log: &FirmwareLog) -> Result<()> {
        Ok(fs::write(self.event_log(), log.octets())?)
    }

    async fn command(&self) -> Result<Command> {
        let mut command = Command::new(binary("metal-agent").await?);
        command.arg(format!("--config={}", self.folder.join("agent.json").display()));
        command.arg(format!("--tpm=swtpm:{}", self.tpm.socket().display()));
        command.arg(format!("--kubeconfig={}", self.kubeconfig().display())).stdin(Stdio::null());
        command.arg(format!("--event-log={}", self.event_log().display()));
        Ok(command)
    }

    /// Starts the agent, with a log of its own.
    pub(crate) async fn start(&mut self) -> Result<Process> {
        self.starts += 1;
        let log = self.folder.join(format!("agent-{}.log", self.starts));
        Process::start(&mut self.command().await?, log)
    }

    /// Runs the agent until it has a certificate.
    pub(crate) async fn once(&self) -> Result<ExitStatus> {
        let mut command = self.command().await?;
        command.arg("--once").kill_on_drop(true).stderr(Stdio::null());
        Ok(timeout(PATIENCE, command.status()).await??)
    }

    /// Waits until the agent has written the kubeconfig.
    pub(crate) async fn joined(&self) -> Result<()> {
        eventually(PATIENCE, async || {
            ensure!(self.kubeconfig().exists(), "no kubeconfig");
            Ok(())
        })
        .await
    }

    /// Runs kubectl as the node.
    pub(crate) async fn kubectl(&self, args: &[&str]) -> Result<String> {
        let mut command = Command::new(self.site.cluster.bin().join("kubectl"));
        command.arg("--kubeconfig").arg(self.kubeconfig()).args(args).kill_on_drop(true);
        let output = timeout(PATIENCE, command.stdin(Stdio::null()).output()).await??;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Creates a Node of this name with the address of this machine, as the node.
    pub(crate) async fn register(&self, name: &str) -> Result<()> {
        let file = self.folder.join("node.json");
        let address = json!({"type": "InternalIP", "address": ADDRESS});
        let (metadata, status) = (json!({"name": name}), json!({"addresses": [address]}));
        let node = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": status,
        });
        fs::write(&file, node.to_string())?;
        let file = file.to_str().context("no UTF-8")?;
        self.kubectl(&["create", "-f", file]).await.map(drop)
    }
}

/// Waits until an agent has printed this.
pub(crate) async fn said(agent: &Process, text: &str) -> Result<()> {
    eventually(PATIENCE, async || {
        let printed = agent.printed()?;
        ensure!(printed.contains(text), "not {text:?} in: {printed}");
        Ok(())
    })
    .await
}
