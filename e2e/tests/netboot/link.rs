//! Networks on the other side of links.

use crate::inside::run;
use anyhow::{Result, ensure};
use e2e::cluster::{Cluster, Process, eventually};
use std::{fs, process::Command, time::Duration};

const LIMIT: Duration = Duration::from_mins(1);

/// A network namespace. It lasts as long as this value, and no longer than the cluster.
#[derive(Debug)]
pub(crate) struct Network {
    path: String,
    id: u32,
    _holder: Process,
}

impl Network {
    /// A new one, which has nothing but loopback.
    pub(crate) async fn new(cluster: &Cluster, name: &str) -> Result<Self> {
        let mut holder = tokio::process::Command::new("unshare");
        holder.args(["-n", "tail", "-f"]).arg(cluster.kubeconfig());
        let holder = Process::start(&mut holder, cluster.scratch().join(format!("{name}.log")))?;
        let id = holder.id().unwrap();
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

    /// A link to it from here; it has the same name on both sides.
    pub(crate) fn link(&self, name: &str, address: &str) -> Result<()> {
        let id = self.id;
        ip(&format!("link add {name} type veth peer name {name} netns {id}"))?;
        ip(&format!("address add {address} dev {name}"))?;
        ip(&format!("link set {name} up"))?;
        self.ip(&format!("link set {name} up"))
    }

    /// A link from it to another one; it has the same name on both sides.
    pub(crate) fn link_to(&self, other: &Self, name: &str, address: &str) -> Result<()> {
        let id = other.id;
        self.ip(&format!("link add {name} type veth peer name {name} netns {id}"))?;
        self.ip(&format!("address add {address} dev {name}"))?;
        self.ip(&format!("link set {name} up"))?;
        other.ip(&format!("link set {name} up"))
    }

    /// `ip`, inside.
    pub(crate) fn ip(&self, words: &str) -> Result<()> {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path)).arg("ip").args(words.split(' '));
        run(&mut command).map(drop)
    }

    /// What runs `command` inside.
    pub(crate) fn command(&self, command: &std::path::Path) -> tokio::process::Command {
        let mut inside = tokio::process::Command::new("nsenter");
        inside.arg(format!("--net={}", self.path)).arg(command);
        inside
    }
}

/// `ip`, here.
pub(crate) fn ip(words: &str) -> Result<()> {
    run(Command::new("ip").args(words.split(' '))).map(drop)
}
