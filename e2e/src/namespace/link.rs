//! Network namespaces, and links to them.

use super::{ip, run};
use crate::cluster::{Cluster, Process, eventually};
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

const LIMIT: Duration = Duration::from_mins(3);

/// A network namespace. It lasts as long as this value, and at most as long as the cluster.
#[derive(Debug)]
pub struct Network {
    path: String,
    id: u32,
    _holder: Process,
}

impl Network {
    /// Creates a namespace with nothing but loopback.
    ///
    /// # Errors
    ///
    /// If it cannot be created.
    pub async fn new(cluster: &Cluster, name: &str) -> Result<Self> {
        let mut holder = tokio::process::Command::new("unshare");
        holder.args(["-n", "tail", "-f"]).arg(cluster.kubeconfig());
        holder.stdin(Stdio::null()).process_group(0);
        let holder = Process::start(&mut holder, cluster.scratch().join(format!("{name}.log")))?;
        let id = holder.id().context("the holder of the network has ended")?;
        let path = format!("/proc/{id}/ns/net");
        eventually(LIMIT, async || {
            ensure!(fs::read_link(&path)? != fs::read_link("/proc/self/ns/net")?);
            Ok(())
        })
        .await?;
        let network = Self { path, id, _holder: holder };
        network.ip("link set lo up")?;
        Ok(network)
    }

    /// Links it to the current namespace; the device has the same name on both sides.
    ///
    /// # Errors
    ///
    /// Errors of `ip`.
    pub fn link(&self, name: &str, address: &str) -> Result<()> {
        self.link_as(name, name, address)
    }

    /// Links it to the current namespace, where the device is called `name`; inside it is called
    /// `there`.
    ///
    /// # Errors
    ///
    /// Errors of `ip`.
    pub fn link_as(&self, name: &str, there: &str, address: &str) -> Result<()> {
        let id = self.id;
        ip(&format!("link add {name} type veth peer name {there} netns {id}"))?;
        ip(&format!("address add {address} dev {name}"))?;
        ip(&format!("link set {name} up"))?;
        self.ip(&format!("link set {there} up"))
    }

    /// Links it to another one; the device has the same name on both sides.
    ///
    /// # Errors
    ///
    /// Errors of `ip`.
    pub fn link_to(&self, other: &Self, name: &str, address: &str) -> Result<()> {
        let id = other.id;
        self.ip(&format!("link add {name} type veth peer name {name} netns {id}"))?;
        self.ip(&format!("address add {address} dev {name}"))?;
        self.ip(&format!("link set {name} up"))?;
        other.ip(&format!("link set {name} up"))
    }

    /// Moves a device of the current namespace into it.
    ///
    /// # Errors
    ///
    /// Errors of `ip`.
    pub fn take(&self, name: &str) -> Result<()> {
        ip(&format!("link set {name} netns {}", self.id))
    }

    /// Makes it forward IPv4.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    pub fn forward(&self) -> Result<()> {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path)).args(["sh", "-c"]);
        run(command.arg("echo 1 >/proc/sys/net/ipv4/ip_forward")).map(drop)
    }

    /// Runs `ip` inside.
    ///
    /// # Errors
    ///
    /// If it fails; with its output.
    pub fn ip(&self, words: &str) -> Result<()> {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path)).arg("ip").args(words.split(' '));
        run(&mut command).map(drop)
    }

    /// A command that runs `command` inside.
    pub fn command(&self, command: &Path) -> tokio::process::Command {
        let mut inside = tokio::process::Command::new("nsenter");
        inside.arg(format!("--net={}", self.path)).arg(command);
        inside
    }
}
