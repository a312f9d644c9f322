//! The network that virtual machines boot from, and netboot on it.

use anyhow::Result;
use e2e::{
    cluster::{Process, binary},
    namespace::ip,
    stack,
};
use std::{fs, net::Ipv4Addr, path::Path};

/// Where Debian's iPXE is.
pub(crate) const TFTP: &str = "/usr/lib/ipxe";

/// Address of this side.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// A bridge where we are, and the tap device of one machine.
pub(crate) fn bridge() -> Result<()> {
    switch()?;
    ip(&format!("address add {ADDRESS}/24 dev br0"))
}

/// A bridge, and the tap device of one machine.
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

/// An HTTP client that goes through no proxy.
pub(crate) fn client() -> reqwest::Client {
    metal_runtime::client::install_crypto_provider();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// Whom netboot may ask about machines.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cluster<'a> {
    /// Nobody: everybody gets what its configuration says.
    None,
    /// The API server.
    At {
        /// Credentials.
        kubeconfig: &'a Path,
        /// Which MAC addresses are BMCs.
        macdb: &'a Path,
    },
}

/// The configuration of netboot on the bridge, with this for its `boot`.
pub(crate) fn on_the_link(boot: &str) -> String {
    format!(
        "interfaces: [br0]\n\
         subnets:\n\
         - subnet: 10.77.0.0/24\n  \
           ranges: [10.77.0.100-10.77.0.199]\n  \
           router: {ADDRESS}\n\
         boot: {{ {boot} }}\n\
         tftp: {{ root: {TFTP} }}\n",
    )
}

/// netboot with this configuration; its files are in `folder`.
pub(crate) async fn netboot(folder: &Path, config: &str, cluster: Cluster<'_>) -> Result<Process> {
    fs::write(folder.join("netboot.yaml"), config)?;
    let flags = match cluster {
        Cluster::None => vec!["--no-endpoints".to_owned()],
        Cluster::At { kubeconfig, macdb } => vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--mac-prefixes-file={}", macdb.display()),
        ],
    };
    stack::netboot(&binary("netboot").await?, folder, &flags).await
}
