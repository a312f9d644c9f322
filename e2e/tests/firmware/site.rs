//! What is between a machine and the stack.

use crate::{
    inside::peer,
    network::{ADDRESS, bridge, switch},
    router::Router,
};
use anyhow::Result;
use e2e::{
    cluster::{Cluster, Process},
    namespace::{Network, ip},
};
use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Address of the stack when it is behind a relay.
const FAR: Ipv4Addr = Ipv4Addr::new(10, 77, 9, 1);
const ADDRESS_V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1);
const PREFIX: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 0);

/// What is between a machine and the stack.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Site {
    /// One link.
    Link,
    /// One link, with a router that announces at once that there is no IPv6: iPXE would wait 15 s
    /// for that.
    Routed,
    /// One IPv6-only link, and a router on it.
    LinkV6,
    /// ISC's relay, and a router:
    ///
    /// ```text
    ///   here ── near 10.77.9.1 ── 10.77.9.2 far: dhcrelay: 10.77.0.254 ── br0 ── tap0
    /// ```
    Relay,
    /// One link, on which ISC's DHCP server assigns the addresses.
    Foreign,
}

/// What runs beside the stack until this value is dropped.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    process: Option<Process>,
    _network: Option<Network>,
    _router: Option<Router>,
}

impl Peers {
    /// The output of the process.
    pub(crate) fn printed(&self) -> String {
        let printed = self.process.as_ref().map(|process| process.printed().unwrap_or_default());
        printed.unwrap_or_default()
    }
}

impl Site {
    /// What PXE loads first: iPXE. Over IPv6 it is a URL (RFC 5970, section 3.1).
    pub(crate) fn loader(self) -> String {
        match self {
            Self::LinkV6 => format!("'tftp://[{ADDRESS_V6}]/snponly.efi'"),
            Self::Link | Self::Routed | Self::Relay | Self::Foreign => "snponly.efi".to_owned(),
        }
    }

    /// The suffix for the line with the measured time.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Link => "",
            Self::Routed => ", with a router",
            Self::LinkV6 => ", IPv6",
            Self::Relay => ", behind a relay",
            Self::Foreign => ", beside a foreign DHCP server",
        }
    }

    /// The stack's address, as machines reach it.
    pub(crate) fn address(self) -> IpAddr {
        match self {
            Self::Link | Self::Routed | Self::Foreign => ADDRESS.into(),
            Self::Relay => FAR.into(),
            Self::LinkV6 => ADDRESS_V6.into(),
        }
    }

    /// If firmware tries something else for a minute or more first: its console output when it gets
    /// to us.
    pub(crate) fn console_first(self) -> Option<&'static str> {
        match self {
            Self::LinkV6 => Some("over IPv6"),
            Self::Link | Self::Routed | Self::Relay | Self::Foreign => None,
        }
    }

    /// Creates the links on our side.
    pub(crate) fn connect(self) -> Result<()> {
        match self {
            Self::Link | Self::Routed | Self::Foreign => bridge(),
            Self::Relay => {
                switch()?;
                ip("link add near type veth peer name far")?;
                ip(&format!("address add {FAR}/24 dev near"))?;
                ip("link set near up")
            }
            Self::LinkV6 => {
                switch()?;
                ip(&format!("address add {ADDRESS_V6}/64 dev br0 nodad"))?;
                // A bridge without an active port has no carrier, and so no IPv6 addresses.
                ip("link add plug type veth peer name socket")?;
                ip("link set plug up master br0")?;
                ip("link set socket up")
            }
        }
    }

    /// Starts what runs beside the stack.
    pub(crate) async fn start(self, cluster: &Cluster) -> Result<Peers> {
        match self {
            Self::Link => Ok(Peers::default()),
            Self::Routed => router(None),
            Self::LinkV6 => router(Some(PREFIX)),
            Self::Relay => relay(cluster).await,
            Self::Foreign => foreign(cluster).await,
        }
    }

    /// netboot's configuration, with this `boot` section.
    pub(crate) fn config(self, boot: &str) -> String {
        match self {
            Self::Link | Self::Routed => crate::network::on_the_link(boot),
            Self::LinkV6 => format!(
                "dhcp6:\n  \
                 interfaces: [br0]\n  \
                 subnets:\n  \
                 - subnet: fd77::/64\n    \
                   ranges: [\"fd77::1000-fd77::1fff\"]\n  \
                 boot: {{ {boot} }}\n\
                 tftp: {{ root: {}, listen: [\"::\"] }}\n",
                crate::network::TFTP
            ),
            Self::Relay => format!(
                "interfaces: [near]\n\
                 subnets:\n\
                 - subnet: 10.77.0.0/24\n  \
                   ranges: [10.77.0.100-10.77.0.199]\n  \
                   router: 10.77.0.254\n\
                 boot: {{ {boot} }}\n\
                 tftp: {{ root: {} }}\n",
                crate::network::TFTP
            ),
            Self::Foreign => format!(
                "interfaces: [br0]\n\
                 subnets:\n\
                 - {{ subnet: 10.77.0.0/24, mode: proxy }}\n\
                 boot: {{ {boot} }}\n\
                 tftp: {{ root: {} }}\n",
                crate::network::TFTP
            ),
        }
    }
}

fn router(prefix: Option<Ipv6Addr>) -> Result<Peers> {
    Ok(Peers { _router: Some(Router::start("br0", prefix)?), ..Peers::default() })
}

async fn relay(cluster: &Cluster) -> Result<Peers> {
    let network = Network::new(cluster, "relay").await?;
    ip("link add behind type veth peer name machines")?;
    ip("link set behind up master br0")?;
    for (interface, address) in [("far", "10.77.9.2/24"), ("machines", "10.77.0.254/24")] {
        network.take(interface)?;
        network.ip(&format!("address add {address} dev {interface}"))?;
        network.ip(&format!("link set {interface} up"))?;
    }
    network.forward()?;
    ip("route add 10.77.0.0/24 via 10.77.9.2")?;
    let mut command = network.command(&peer("dhcrelay"));
    command.args(["-4", "-d", "-iu", "far", "-id", "machines", "-pf"]);
    // Whatever ends the cluster's processes finds them by its folder on their command lines.
    command.arg(cluster.scratch().join("dhcrelay.number")).arg(FAR.to_string());
    let process = Process::start(&mut command, cluster.scratch().join("dhcrelay.log"))?;
    Ok(Peers { process: Some(process), _network: Some(network), _router: None })
}

async fn foreign(cluster: &Cluster) -> Result<Peers> {
    let (network, scratch) = (Network::new(cluster, "foreign").await?, cluster.scratch());
    ip("link add port type veth peer name server")?;
    ip("link set port up master br0")?;
    network.take("server")?;
    network.ip("address add 10.77.0.2/24 dev server")?;
    network.ip("link set server up")?;
    let (config, leases) = (scratch.join("dhcpd.conf"), scratch.join("dhcpd.leases"));
    let text = format!(
        "authoritative;\n\
         subnet 10.77.0.0 netmask 255.255.255.0 {{\n\
         range 10.77.0.100 10.77.0.199; option routers {ADDRESS}; }}\n"
    );
    fs::write(&config, text)?;
    fs::write(&leases, "")?;
    let mut command = network.command(&peer("dhcpd"));
    command.args(["-4", "-f", "-d", "--no-pid", "-cf"]).arg(config).arg("-lf").arg(leases);
    command.arg("server");
    let process = Process::start(&mut command, scratch.join("dhcpd.log"))?;
    Ok(Peers { process: Some(process), _network: Some(network), _router: None })
}
