//! The network that virtual machines boot from, and netboot on it.

use anyhow::Result;
use e2e::{
    namespace::ip,
    stack::{Node, Operator, Overlay, configure_netboot, pod_alone},
};
use std::{net::Ipv4Addr, path::Path, time::Duration};

const READY: Duration = Duration::from_mins(3);

/// Folder of Debian's iPXE.
pub(crate) const TFTP: &str = "/usr/lib/ipxe";

/// Address of our side.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// A bridge with our address, and the tap device of one machine.
pub(crate) fn bridge() -> Result<()> {
    switch()?;
    ip(&format!("address add {ADDRESS}/24 dev br0"))
}

/// A bridge without an address, and the tap device of one machine.
pub(crate) fn switch() -> Result<()> {
    ip("link add br0 type bridge")?;
    ip("link set br0 up")?;
    tap()?;
    ip("link set tap0 master br0")
}

/// The tap device of one machine.
pub(crate) fn tap() -> Result<()> {
    ip("tuntap add dev tap0 mode tap")?;
    ip("link set tap0 up")
}

/// netboot's configuration on the bridge, with this `boot` section.
pub(crate) fn on_the_link(boot: &str) -> String {
    on_the_link_from(boot, Path::new(TFTP))
}

/// The same, with the files of this folder.
pub(crate) fn on_the_link_from(boot: &str, files: &Path) -> String {
    format!(
        "interfaces: [br0]\n\
         subnets:\n\
         - subnet: 10.77.0.0/24\n  \
           ranges: [10.77.0.100-10.77.0.199]\n  \
           router: {ADDRESS}\n\
         boot: {{ {boot} }}\n\
         tftp: {{ root: {} }}\n",
        files.display()
    )
}

/// Starts netboot with this configuration and without an API server; its files are in `folder`.
pub(crate) async fn netboot(folder: &Path, config: &str) -> Result<Operator> {
    let overlay = Overlay::build("default").await?;
    let deployment = overlay.named("Deployment", "netboot")?;
    let netboot = pod_alone(&overlay, deployment, Node::of_this_machine(folder)).await?;
    let netboot = netboot.flag("--no-endpoints", true);
    configure_netboot(folder, config)?;
    netboot.start()?;
    netboot.ready(READY).await?;
    Ok(netboot)
}
