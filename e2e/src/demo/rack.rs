//! Two networks between the operators and the rack: one for the BMCs, one that the servers boot from.

use crate::{cluster::Cluster, namespace::Network};
use anyhow::Result;
use std::net::{IpAddr, Ipv4Addr};

/// The operators' address on the network that servers boot from.
pub(super) const OPERATORS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 78, 0, 1));
/// The rack's address on the network of the BMCs.
pub(super) const RACK: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// The network device of a virtual machine.
pub(super) const TAP: &str = "tap0";

/// What the machines are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machines {
    /// All are simulated.
    Simulated,
    /// One of them is a virtual machine.
    WithVm,
}

/// The rack: a network namespace of its own, with the other ends of both networks.
pub(super) async fn rack(cluster: &Cluster, machines: Machines) -> Result<Network> {
    let rack = Network::new(cluster, "rack").await?;
    rack.link("oob", "10.77.0.1/16")?;
    match machines {
        Machines::Simulated => rack.link("boot", &format!("{OPERATORS}/16"))?,
        Machines::WithVm => bridge(&rack)?,
    }
    rack.ip(&format!("address add {RACK}/16 dev oob"))?;
    rack.ip("address add 10.78.0.2/16 dev boot")?;
    // Every address that netboot hands out is in the rack (netboot.yaml).
    rack.ip("route add local 10.77.128.0/17 dev lo")?;
    // Not so with a virtual machine, which answers for its own.
    if machines == Machines::Simulated {
        rack.ip("route add local 10.78.128.0/17 dev lo")?;
    }
    Ok(rack)
}

/// Bridges the boot network to a virtual machine.
fn bridge(rack: &Network) -> Result<()> {
    rack.link_as("boot", "uplink", &format!("{OPERATORS}/16"))?;
    rack.ip("link add boot type bridge")?;
    rack.ip(&format!("tuntap add dev {TAP} mode tap"))?;
    for port in ["uplink", TAP] {
        rack.ip(&format!("link set {port} master boot"))?;
        rack.ip(&format!("link set {port} up"))?;
    }
    rack.ip("link set boot up")
}
