//! A machine with real firmware that metalman installs: QEMU with UEFI and a TPM behind a BMC, on a link of its own.
//!
//! ```text
//!   BMC of the simulator (TLS) ◄── metalman (Redfish, on loopback)
//!     └── QEMU with a TPM ── tap ── bridge: metalman (DHCP, TFTP, HTTP), API server
//! ```

use super::metalman::redfish;
use crate::{
    cluster::{Cluster, workspace},
    forward::forward,
    namespace::ip,
};
use anyhow::{Context, Result, ensure};
use metal_api::{MachineLease, MachinePxe};
use metal_simulator::{Config, Profile, Simulator, Transport, Vm};
use std::{
    ffi::OsStr,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    process::Stdio,
    time::Duration,
};
use tokio::{net::TcpListener, process::Command, task::JoinSet, time::timeout};

/// How long a script may take: what is in an image is compiled for size.
const BUILD: Duration = Duration::from_mins(30);

/// The link between metalman and the machine.
#[derive(Clone, Copy, Debug)]
pub struct NodeLink {
    /// Name of the bridge.
    pub bridge: &'static str,
    /// Network device of the machine.
    pub tap: &'static str,
    /// Our address, which is the machine's gateway as well.
    pub address: Ipv4Addr,
    /// The address that metalman gives to the machine, one of 256 with ours.
    pub lease: Ipv4Addr,
}

impl NodeLink {
    /// Makes it in this network namespace.
    ///
    /// # Errors
    ///
    /// If a device of one of these names exists.
    pub fn make(&self) -> Result<()> {
        let Self { bridge, tap, address, .. } = self;
        ip(&format!("link add {bridge} type bridge"))?;
        ip(&format!("link set {bridge} up"))?;
        ip(&format!("tuntap add dev {tap} mode tap"))?;
        ip(&format!("link set {tap} up"))?;
        ip(&format!("link set {tap} master {bridge}"))?;
        ip(&format!("address add {address}/24 dev {bridge}"))
    }
}

/// The machine, and its BMC.
pub struct NodeVm {
    /// The BMC.
    pub simulator: Simulator,
    vm: Vm,
    link: NodeLink,
}

impl NodeVm {
    /// Starts the BMC. The machine is off, its disk and its TPM are new; what it keeps is in `vm.folder`.
    ///
    /// # Errors
    ///
    /// If the BMC cannot listen.
    pub async fn start(link: NodeLink, vm: Vm, config: Config) -> Result<Self> {
        let vm = Vm { tap: link.tap.to_owned(), has_tpm: true, ..vm };
        let profile = Profile { transport: Transport::Https, ..Profile::default() };
        let vms = [(0, vm.clone())].into();
        let simulator = Simulator::start(Config { vms, profile, ..config }).await?;
        Ok(Self { simulator, vm, link })
    }

    /// What metalman is to know of it; its password is in the Secret `name`.
    ///
    /// # Errors
    ///
    /// If it has no BMC.
    pub fn pxe(&self, name: &str, image: &str) -> Result<MachinePxe> {
        let lease = MachineLease {
            ipv4: self.link.lease.to_string(),
            mac: self.simulator.hardware(0)?.nics()[0].mac.to_string(),
            subnet_mask: "255.255.255.0".to_owned(),
            gateway: self.link.address.to_string(),
            ..MachineLease::default()
        };
        Ok(MachinePxe {
            image: image.to_owned(),
            dhcp_leases: vec![lease],
            redfish: Some(redfish(self.simulator.bmc(0).context("no BMC")?, name)),
            ..MachinePxe::default()
        })
    }

    /// What it has printed since it exists.
    pub fn console(&self) -> String {
        let old = self.vm.console().with_extension("log.old");
        let read = |path| fs::read(path).unwrap_or_default();
        String::from_utf8_lossy(&[read(old), read(self.vm.console())].concat()).into_owned()
    }
}

/// Makes the API server reachable for machines at an address of ours, for which it has a certificate; returns where
/// it is.
///
/// # Errors
///
/// If there is no free port.
pub async fn reachable_api_server(
    cluster: &Cluster,
    address: IpAddr,
    forwards: &mut JoinSet<()>,
) -> Result<SocketAddr> {
    let text = fs::read_to_string(cluster.kubeconfig())?;
    let server = text.lines().find_map(|line| line.trim().strip_prefix("server: https://"));
    let server: SocketAddr = server.context("a kubeconfig names a server")?.parse()?;
    let listener = TcpListener::bind((address, 0)).await?;
    let at = listener.local_addr()?;
    forwards.spawn(forward(listener, server));
    Ok(at)
}

/// Pushes what `hack/netboot-image build` has left in a folder.
///
/// # Errors
///
/// If the registry does not take it.
pub async fn push_netboot_image(folder: &Path, image: &str) -> Result<()> {
    let [push, plain] = ["push", "--plain-http"].map(OsStr::new);
    run_script("hack/netboot-image", [push, folder.as_os_str(), image.as_ref(), plain]).await
}

/// Runs a script of ours.
///
/// # Errors
///
/// If it fails, or does not end.
pub async fn run_script<'a>(
    script: &str,
    arguments: impl IntoIterator<Item = &'a OsStr>,
) -> Result<()> {
    let mut command = Command::new(workspace().join(script));
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(BUILD, command.output()).await.context("it does not end")??;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{script}: {}", said.trim());
    Ok(())
}
