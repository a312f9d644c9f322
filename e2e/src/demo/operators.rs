//! The operators as processes, which are restarted when they exit.

use super::{rack, screen::INDENT, screen::Screen};
use crate::{
    cluster::{Cluster, ended},
    stack::{Node, Operator, Overlay, Ports, pod},
};
use anyhow::{Context, Result, bail};
use metal_base::Locked;
use std::{collections::BTreeMap, fs, path::Path, sync::Mutex};

/// How many times an operator may exit.
const RESTARTS: u32 = 3;
/// Health port of each operator; its metrics are [`METRICS`] above.
const OPERATORS: [(&str, u16); 3] =
    [("metal-operator", 18081), ("boot-operator", 18082), ("netboot", 18083)];
const METRICS: u16 = 1000;
/// How many lines of the log to show when an operator has exited.
const TAIL: usize = 5;

/// The operators.
pub(super) struct Operators {
    all: Vec<Operator>,
    restarts: Mutex<BTreeMap<String, u32>>,
}

impl Operators {
    /// Starts the operators of the overlay.
    pub(super) async fn start(
        cluster: &Cluster,
        overlay: &Overlay,
        machines: rack::Machines,
    ) -> Result<Self> {
        let (mut all, folder) = (Vec::new(), &*cluster.scratch());
        for (name, health) in OPERATORS {
            let ports = Ports::Given { health, metrics: health + METRICS };
            let node = Node { folder, address: rack::OPERATORS, ports, binaries: None };
            let deployment = overlay.named("Deployment", name)?;
            let mut operator = pod(cluster, overlay, deployment, node).await?;
            // Next to a virtual machine, the simulated machines have no addresses of their own.
            if name == "boot-operator" && machines == rack::Machines::WithVm {
                operator = operator.flag("--machine-addresses", "any");
            }
            // The demo's logs are for its users, who look for mistakes of their own rather than
            // ours.
            let operator = operator.variable("RUST_LOG", "info");
            operator.start()?;
            all.push(operator);
        }
        Ok(Self { all, restarts: Mutex::default() })
    }

    /// Iterates over the operators.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Operator> {
        self.all.iter()
    }

    /// Restarts operators that have exited, as a kubelet would; fails if one keeps exiting, or if
    /// any other process of `cluster` has ended.
    pub(super) fn keep_running(&self, cluster: &Cluster, screen: &Screen) -> Result<()> {
        for log in ended(cluster.folder())?.into_iter().chain(ended(&cluster.scratch())?) {
            match self.all.iter().find(|operator| operator.log() == log) {
                Some(operator) if self.may_restart(operator) => self.restart(operator, screen)?,
                _ => bail!(has_ended(&log)),
            }
        }
        Ok(())
    }

    fn may_restart(&self, operator: &Operator) -> bool {
        let mut restarts = self.restarts.locked();
        let count = restarts.entry(operator.name().to_owned()).or_default();
        *count += 1;
        *count <= RESTARTS
    }

    /// Restarts it, and keeps its log.
    fn restart(&self, operator: &Operator, screen: &Screen) -> Result<()> {
        let (name, printed) = (operator.name(), operator.printed()?);
        let reason = printed.lines().rev().find_map(|line| line.strip_prefix("Error: "));
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        screen.tell(&format!("{INDENT}{name} has ended{reason}; it is started again"));
        let restarts = self.restarts.locked();
        let number = restarts.get(name).context("a restart is counted")?;
        fs::rename(operator.log(), operator.log().with_extension(format!("{number}.log")))?;
        operator.start()
    }
}

fn has_ended(log: &Path) -> String {
    let name = log.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let printed = fs::read(log).unwrap_or_default();
    let printed = String::from_utf8_lossy(&printed);
    let lines: Vec<_> = printed.lines().collect();
    let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
    format!("{name} has ended:\n{tail}")
}
