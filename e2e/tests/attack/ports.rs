//! What is attacked: the binaries, and the TCP ports that an attacker can reach.

use crate::site::{OPERATORS, Site};
use anyhow::{Context, Result};
use e2e::cluster::workspace;
use std::{fs, net::SocketAddr};

/// Ports at the operators' address, in place of the usual ones: several binaries share the address.
pub(crate) const METRICS_OF_METAL: u16 = 8443;
pub(crate) const METRICS_OF_BOOT: u16 = 8444;
pub(crate) const METRICS_OF_NETBOOT: u16 = 8445;
pub(crate) const METRICS_OF_METALMAN: u16 = 8446;
pub(crate) const METRICS_OF_HOSTS: u16 = 8447;
pub(crate) const HTTPS: u16 = 8448;

/// The binary that an attack is aimed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Metal,
    Boot,
    Netboot,
    Metalman,
    Hosts,
}

impl Target {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Metal => "metal-operator",
            Self::Boot => "boot-operator",
            Self::Netboot => "netboot",
            Self::Metalman => "metalman",
            Self::Hosts => "hosts",
        }
    }

    /// Its memory limit in `bases/`.
    pub(crate) fn limit(self) -> Result<u64> {
        let folder = match self {
            Self::Metalman => "metalman/pxe",
            other => other.name(),
        };
        let file = fs::read_to_string(workspace().join(format!("bases/{folder}/deployment.yaml")))?;
        let line = file.lines().find_map(|line| line.trim().strip_prefix("limits: { memory: "));
        let (mib, _) = line.context("no limit")?.split_once("Mi").context("no MiB")?;
        let mib: u64 = mib.parse()?;
        Ok(mib << 20)
    }
}

/// A TCP port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Port {
    pub(crate) name: &'static str,
    pub(crate) target: Target,
    pub(crate) address: SocketAddr,
    /// A path that is served there.
    pub(crate) path: &'static str,
    pub(crate) kind: Kind,
}

/// Who uses a port, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Machines, of which there are many.
    Machines,
    /// The same, with TLS.
    Tls,
    /// The node, or Prometheus.
    Admin,
}

/// The boot port.
pub(crate) fn boot() -> Port {
    let address = SocketAddr::from((OPERATORS, 8082));
    let (name, target, path) = ("boot port", Target::Boot, "/ipxe/");
    Port { name, target, address, path, kind: Kind::Machines }
}

/// The port for reports.
pub(crate) fn registry() -> Port {
    let address = SocketAddr::from((OPERATORS, 10000));
    let (name, target, path) = ("registry", Target::Metal, "/systems/a");
    Port { name, target, address, path, kind: Kind::Machines }
}

/// Every TCP port.
pub(crate) fn all(site: &Site) -> Vec<Port> {
    let at = |port| SocketAddr::from((OPERATORS, port));
    let for_machines = [
        ("image port", Target::Boot, at(8083), "/image"),
        ("machines", Target::Metalman, site.metalman.http, "/"),
        ("machines", Target::Hosts, site.hosts.address, "/"),
    ];
    let metrics = [
        (Target::Metal, METRICS_OF_METAL),
        (Target::Boot, METRICS_OF_BOOT),
        (Target::Netboot, METRICS_OF_NETBOOT),
        (Target::Metalman, METRICS_OF_METALMAN),
        (Target::Hosts, METRICS_OF_HOSTS),
    ];
    let health = [
        (Target::Metal, site.stack.metal.health()),
        (Target::Boot, site.stack.boot.health()),
        (Target::Netboot, site.netboot.health()),
        (Target::Metalman, site.metalman.health()),
        (Target::Hosts, site.hosts.health),
    ];
    let tls = Port { name: "HTTPS port", address: at(HTTPS), kind: Kind::Tls, ..boot() };
    let for_machines = for_machines.map(|(name, target, address, path)| Port {
        name,
        target,
        address,
        path,
        kind: Kind::Machines,
    });
    let admin = |name, path| {
        move |(target, address)| Port { name, target, address, path, kind: Kind::Admin }
    };
    let metrics = metrics.map(|(target, port)| (target, at(port)));
    [boot(), registry(), tls]
        .into_iter()
        .chain(for_machines)
        .chain(metrics.map(admin("metrics", "/metrics")))
        .chain(health.map(admin("health", "/healthz")))
        .collect()
}
